#include "models/registry.h"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"
#include "models/csm/speech_model.h"
#include "models/kokoro/speech_model.h"
#include "models/mossformer2_se/config.h"
#include "models/qwen3_tts/speech_model.h"
#include "models/vibevoice_asr/load.h"
#include "models/whisper/load.h"

namespace mlx_audio::models {

namespace {

using Json = nlohmann::json;

// clang-format off
const Architecture architectures[] = {
    {"kokoro", ModelTask::speech, kokoro::matches, kokoro::features, kokoro::load_speech_model},
    {"qwen3_tts", ModelTask::speech, qwen3_tts::matches, qwen3_tts::features, qwen3_tts::load_speech_model},
    {"csm", ModelTask::speech, csm::matches, csm::features, csm::load_speech_model},
    {"whisper", ModelTask::transcription, whisper::matches, whisper::features, nullptr, whisper::load_whisper},
    {"vibevoice_asr", ModelTask::transcription, vibevoice_asr::matches, vibevoice_asr::features, nullptr, vibevoice_asr::load_vibevoice_asr},
    {"mossformer2_se", ModelTask::enhancement, mossformer2_se::matches, mossformer2_se::features},
};
// clang-format on

Json read_config(const std::string& folder) {
  auto path = std::filesystem::path(folder) / "config.json";
  if (!std::filesystem::exists(path)) {
    throw Error(
        ErrorKind::not_found,
        "no config.json in '" + folder + "'",
        "give the folder of a checkpoint in mlx-community's layout");
  }
  return checkpoint::read_json(path.string());
}

} // namespace

const Architecture* find_architecture(const Json& config) {
  for (const auto& architecture : architectures) {
    if (architecture.matches(config)) {
      return &architecture;
    }
  }
  return nullptr;
}

const Architecture& find_architecture(
    const std::string& folder,
    ModelTask task) {
  Json config = read_config(folder);
  const Architecture* found = find_architecture(config);
  if (found != nullptr && found->task == task) {
    return *found;
  }
  std::string known;
  for (const auto& architecture : architectures) {
    if (architecture.task == task) {
      known += (known.empty() ? "" : ", ") + std::string(architecture.name);
    }
  }
  auto type = config.find("model_type");
  std::string what = found != nullptr ? found->name
      : type != config.end()          ? "model_type " + type->dump()
                                      : "no model_type";
  throw Error(
      ErrorKind::unsupported,
      "'" + folder + "' holds no " + to_string(task) +
          " model that is known here (" + what + ")",
      std::string(to_string(task)) + " architectures: " + known);
}

} // namespace mlx_audio::models
