#include "models/qwen3_tts/voices.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "mlx_audio/error.h"

namespace mlx_audio::qwen3_tts {

namespace {

constexpr int kRate = 24000;
constexpr double kShortest = 0.3; // seconds
constexpr double kLongest = 60;
constexpr float kSilence = 1e-3f; // peak: -60 dB
constexpr size_t kKept = 8;

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f s", seconds);
  return text;
}

std::vector<float> checked_samples(const Audio& audio) {
  double seconds = audio.seconds();
  if (seconds < kShortest) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio lasts " + seconds_text(seconds) +
            ", too short to take a voice from",
        "give 3 to 15 seconds of clean speech");
  }
  if (seconds > kLongest) {
    throw Error(
        ErrorKind::too_large,
        "the reference audio lasts " + seconds_text(seconds) +
            ", more than 60 s",
        "cut it to 3 to 15 seconds, and its text to what is said there");
  }
  Audio mono = audio.channels == 1 ? audio : mix_to_mono(audio);
  if (mono.sample_rate != kRate) {
    mono = resample(mono, kRate);
  }
  float peak = 0;
  for (float sample : mono.samples) {
    if (!std::isfinite(sample)) {
      throw Error(
          ErrorKind::invalid_argument,
          "the reference audio holds a sample that is no number");
    }
    peak = std::max(peak, std::abs(sample));
  }
  if (peak < kSilence) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio is silent",
        "give 3 to 15 seconds of clean speech");
  }
  return mono.samples;
}

bool same(const VoiceReference& a, const VoiceReference& b) {
  return a.x_vector_only == b.x_vector_only && a.text == b.text &&
      a.audio.sample_rate == b.audio.sample_rate &&
      a.audio.channels == b.audio.channels &&
      a.audio.samples == b.audio.samples;
}

} // namespace

std::shared_ptr<const Voice> Voices::make(
    const VoiceReference& reference) const {
  if (!reference.x_vector_only && reference.text.empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio has no text",
        "say what is spoken in it (--ref-text), or take its timbre only "
        "(--x-vector-only)");
  }
  auto samples = checked_samples(reference.audio);
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
  auto found =
      std::find_if(recent_.begin(), recent_.end(), [&](const Entry& entry) {
        return same(entry.reference, reference);
      });
  if (found != recent_.end()) {
    recent_.splice(recent_.begin(), recent_, found);
  } else {
    recent_.push_front({reference, make(reference)});
    if (recent_.size() > kKept) {
      recent_.pop_back();
    }
  }
  return recent_.front().voice;
}

} // namespace mlx_audio::qwen3_tts
