#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "mlx_audio/transcription.h"
#include "models/whisper/load.h"
#include "text/tokenizer_files.h"

namespace mlx_audio {

std::unique_ptr<TranscriptionModel> load_transcription_model(
    const std::string& folder,
    const TranscriptionModelOptions& options /* = {} */) {
  auto path = (std::filesystem::path(folder) / "config.json").string();
  auto config = nlohmann::json::parse(
      text::read_text_file(path, 16u << 20), nullptr, false);
  if (!config.is_object()) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path + "' holds no JSON object",
        "fetch the model anew");
  }
  auto type = config.find("model_type");
  // The oldest mlx-community repositories name no type, only Whisper's sizes.
  if ((type != config.end() && *type == "whisper") ||
      (type == config.end() && config.contains("n_audio_state"))) {
    return whisper::load_whisper(folder, options);
  }
  throw Error(
      ErrorKind::unsupported,
      "'" + folder + "' holds a model of type " +
          (type == config.end() ? "unknown" : type->dump()) +
          ", which does not transcribe",
      "whisper does");
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
  return result;
}

} // namespace mlx_audio
