#include "models/qwen3_tts/voices.h"

#include "mlx_audio/error.h"
#include "models/request_checks.h"

namespace mlx_audio::qwen3_tts {

std::shared_ptr<const Voice> Voices::make(
    const VoiceReference& reference) const {
  if (!reference.x_vector_only && reference.text.empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio has no text",
        "say what is spoken in it (--ref-text), or take its timbre only "
        "(--x-vector-only)");
  }
  auto samples = reference_samples(reference.audio, 24000);
  auto signal = mx::array(samples.data(), {static_cast<int>(samples.size())});
  auto voice = std::make_shared<Voice>(Voice{(*network_.speaker_encoder)(
      speaker_mel(signal, network_.config.speaker_encoder->mel_dim))});
  voice->speaker.eval();
  if (!reference.x_vector_only) {
    voice->context = SpokenContext{
        network_.tokenizer->encode(signal), ids_.said(reference.text)};
    auto heard =
        network_.tokenizer->decode(voice->context->codes, voice->decoded);
    if (heard.size() > 0) {
      voice->last_sample = heard.data<float>()[heard.size() - 1];
    }
  }
  return voice;
}

std::shared_ptr<const Voice> Voices::get(const VoiceReference& reference) {
  return recent_.get(reference, [&] { return make(reference); });
}

} // namespace mlx_audio::qwen3_tts
