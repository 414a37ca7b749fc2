#include "models/registry.h"

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "models/kokoro/speech_model.h"
#include "models/qwen3_tts/speech_model.h"

namespace mlx_audio::models {

namespace {

using Json = nlohmann::json;

const SpeechArchitecture speech_architectures[] = {
    {"kokoro", kokoro::matches, kokoro::load_speech_model},
    {"qwen3_tts", qwen3_tts::matches, qwen3_tts::load_speech_model},
};

Json read_config(const std::string& folder) {
  auto path = std::filesystem::path(folder) / "config.json";
  std::ifstream file(path);
  if (!file) {
    throw Error(
        ErrorKind::not_found,
        "no config.json in '" + folder + "'",
        "give the folder of a checkpoint in mlx-community's layout");
  }
  Json config = Json::parse(file, nullptr, /* allow_exceptions */ false);
  if (!config.is_object()) {
    throw Error(
        ErrorKind::corrupt_data, "'" + path.string() + "' is no JSON object");
  }
  return config;
}

} // namespace

const SpeechArchitecture& find_speech_architecture(const std::string& folder) {
  Json config = read_config(folder);
  std::string known;
  for (const auto& architecture : speech_architectures) {
    if (architecture.matches(config)) {
      return architecture;
    }
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  auto type = config.find("model_type");
  throw Error(
      ErrorKind::unsupported,
      "'" + folder + "' holds no speech model that is known here" +
          (type != config.end() ? " (model_type " + type->dump() + ")" : ""),
      "text-to-speech architectures: " + known);
}

} // namespace mlx_audio::models
