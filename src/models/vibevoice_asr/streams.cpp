#include "models/vibevoice_asr/streams.h"

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "models/vibevoice_asr/chunks.h"
#include "models/vibevoice_asr/recording.h"
#include "text/unicode.h"

namespace mlx_audio::vibevoice_asr {

namespace {

constexpr int kMost = 1 << 24;
constexpr size_t kMostContext = 64 << 10; // bytes

void check_range(const char* name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    throw Error(
        ErrorKind::invalid_argument,
        std::string(name) + " " + nlohmann::json(value).dump() +
            " is out of range",
        "give " + nlohmann::json(low).dump() + " to " +
            nlohmann::json(high).dump());
  }
}

void refuse_if(bool asked, const char* what, const char* hint) {
  if (asked) {
    throw Error(
        ErrorKind::unsupported,
        std::string("VibeVoice-ASR has no ") + what,
        hint);
  }
}

} // namespace

void check_options(const TranscriptionOptions& o, const Config& config) {
  refuse_if(
      o.task == TranscriptionTask::translate,
      "translation",
      "use a multilingual Whisper model");
  refuse_if(
      o.word_timestamps,
      "times of words",
      "it gives times of segments; use a Whisper model for words");
  refuse_if(
      o.vad || o.batch_size > 1,
      "voice detection and no batches: it hears a recording as a whole",
      "leave out vad and batch_size");
  refuse_if(o.beam_size > 1, "beam search", "leave out beam_size");
  refuse_if(
      !o.clip_timestamps.empty(),
      "choice of parts (clip_timestamps)",
      "give the parts as recordings of their own");
  refuse_if(!o.prefix.empty(), "prefix", "give words to expect as hotwords");
  bool chunk_options = o.chunk_duration || o.text_audio_delay;
  refuse_if(
      chunk_options && !config.streaming(),
      "chunks in this checkpoint",
      "chunk_duration and text_audio_delay are for streaming checkpoints");
  if (o.temperatures.empty()) {
    throw Error(ErrorKind::invalid_argument, "temperatures are empty");
  }
  check_range("temperature", o.temperatures[0], 0, 10);
  check_range("top_k", o.top_k, 0, kMost);
  check_range("top_p", o.top_p, 0, 1);
  check_range("min_p", o.min_p, 0, 1);
  check_range("repetition_penalty", o.repetition_penalty, 0.1, 10);
  check_range("repetition_context", o.repetition_context, 1, kMost);
  check_range("max_tokens", o.max_tokens, 0, kMost);
  check_range("chunk_duration", o.chunk_duration.value_or(1), 0.01, 600);
  check_range("text_audio_delay", o.text_audio_delay.value_or(0), 0, 600);
  for (const auto* text : {&o.initial_prompt, &o.hotwords}) {
    if (text->size() > kMostContext) {
      throw Error(
          ErrorKind::too_large,
          "context of " + std::to_string(text->size()) + " bytes",
          "give at most " + std::to_string(kMostContext));
    }
    text::check_text(*text);
  }
}

std::unique_ptr<TranscriptionStream> make_stream(
    std::shared_ptr<const Model> model,
    const TranscriptionRequest& request) {
  const Config& config = model->network->config;
  check_options(request.options, config);
  if (config.streaming()) {
    return std::make_unique<ChunkStream>(std::move(model), request);
  }
  return std::make_unique<RecordingStream>(std::move(model), request);
}

} // namespace mlx_audio::vibevoice_asr
