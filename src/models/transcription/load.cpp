#include "mlx_audio/transcription.h"
#include "models/registry.h"

namespace mlx_audio {

std::unique_ptr<TranscriptionModel> load_transcription_model(
    const std::string& folder,
    const TranscriptionModelOptions& options /* = {} */) {
  return models::find_architecture(folder, ModelTask::transcription)
      .load_transcription(folder, options);
}

Transcription collect(
    TranscriptionStream& stream,
    const TranscriptionOptions& options) {
  Transcription result;
  while (auto segment = stream.next()) {
    result.text += segment->text;
    result.segments.push_back(std::move(*segment));
  }
  result.language = stream.language();
  result.language_probability = stream.language_probability();
  result.duration = stream.duration();
  result.task = options.task;
  result.has_words = options.word_timestamps;
  result.truncated = stream.truncated();
  return result;
}

} // namespace mlx_audio
