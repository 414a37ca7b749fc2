#include "engine/model_folder.h"

#include <filesystem>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "checkpoint/json.h"
#include "hub/store.h"
#include "models/registry.h"

namespace mlx_audio::engine {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool holds_weights(const fs::path& path) {
  auto extension = path.extension();
  return extension == ".safetensors" || extension == ".npz" ||
      extension == ".bin" || extension == ".pth";
}

} // namespace

bool describe_folder(const std::string& folder, ModelInfo& info) {
  auto path = fs::path(folder) / "config.json";
  const models::Architecture* architecture = nullptr;
  try {
    Json config = checkpoint::read_json(path.string());
    architecture = models::find_architecture(config);
    if (architecture == nullptr) {
      return false;
    }
    info.features = architecture->features(config);
  } catch (const Error&) {
    return false; // no config, or none that we read
  } catch (const Json::exception&) {
    return false; // a field of another type than ours: no model of ours
  }
  info.path = folder;
  info.architecture = architecture->name;
  info.task = architecture->task;
  info.size_bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
    if (holds_weights(entry.path()) && entry.is_regular_file(ignored)) {
      info.size_bytes += entry.file_size(ignored);
    }
  }
  struct stat status = {};
  if (stat(path.c_str(), &status) == 0) {
    info.created = status.st_mtime;
  }
  return true;
}

std::unique_ptr<LoadedModel> load_model(
    const ModelInfo& info,
    const LoadOptions& options) {
  auto model = std::make_unique<LoadedModel>();
  model->id = info.id;
  model->task = info.task;
  switch (info.task) {
    case ModelTask::speech:
      model->speech = load_speech_model(info.path, options);
      break;
    case ModelTask::transcription:
      model->transcription = load_transcription_model(
          info.path,
          {.dtype = options.dtype,
           .vad_model = hub::find_local_model("silero-vad")});
      break;
    case ModelTask::enhancement:
      model->enhancer = std::make_unique<Enhancer>(
          Enhancer::load(info.path, {.dtype = options.dtype}));
      break;
    case ModelTask::separation:
      break; // no architecture has it yet
  }
  return model;
}

} // namespace mlx_audio::engine
