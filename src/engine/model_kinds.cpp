#include "engine/model_kinds.h"

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "hub/store.h"
#include "models/kokoro/speech_model.h"
#include "models/qwen3_tts/speech_model.h"

namespace mlx_audio::engine {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Features = std::vector<std::string>;

bool is_type(const Json& config, const char* type) {
  auto found = config.find("model_type");
  return found != config.end() && *found == type;
}

bool is_whisper(const Json& config) {
  return is_type(config, "whisper") ||
      (!config.contains("model_type") && config.contains("n_audio_state"));
}

bool is_mossformer2(const Json& config) {
  return is_type(config, "mossformer2_se");
}

void load_speech(
    LoadedModel& model,
    const std::string& folder,
    const LoadOptions& options) {
  model.speech = load_speech_model(folder, options);
}

void load_transcription(
    LoadedModel& model,
    const std::string& folder,
    const LoadOptions& options) {
  model.transcription = load_transcription_model(
      folder,
      {.dtype = options.dtype,
       .vad_model = hub::find_local_model("silero-vad")});
}

void load_enhancement(
    LoadedModel& model,
    const std::string& folder,
    const LoadOptions& options) {
  model.enhancer = std::make_unique<Enhancer>(
      Enhancer::load(folder, {.dtype = options.dtype}));
}

Features kokoro_features(const Json& /* config */) {
  return {"voices", "voice_mix", "speed", "languages", "word_timestamps"};
}

Features qwen3_tts_features(const Json& config) {
  Features features = {"languages", "sampling"};
  std::string kind = config.value("tts_model_type", "base");
  if (kind == "base") {
    features.emplace_back("reference");
  } else {
    features.emplace_back("instructions");
  }
  if (kind == "custom_voice") {
    features.emplace_back("voices");
  }
  return features;
}

Features whisper_features(const Json& config) {
  Features features = {
      "word_timestamps", "realtime", "prompt", "keywords", "vad"};
  int vocabulary = config.value("n_vocab", config.value("vocab_size", 0));
  if (vocabulary >= 51865) {
    features.emplace_back("languages");
    features.emplace_back("translation");
  }
  return features;
}

Features enhancement_features(const Json& /* config */) {
  return {"mix", "dither"};
}

const ModelKind kinds[] = {
    {"kokoro",
     ModelTask::speech,
     kokoro::matches,
     load_speech,
     kokoro_features},
    {"qwen3_tts",
     ModelTask::speech,
     qwen3_tts::matches,
     load_speech,
     qwen3_tts_features},
    {"whisper",
     ModelTask::transcription,
     is_whisper,
     load_transcription,
     whisper_features},
    {"mossformer2_se",
     ModelTask::enhancement,
     is_mossformer2,
     load_enhancement,
     enhancement_features},
};

bool holds_weights(const fs::path& path) {
  auto extension = path.extension();
  return extension == ".safetensors" || extension == ".npz" ||
      extension == ".bin" || extension == ".pth";
}

} // namespace

const ModelKind* find_kind(const Json& config) {
  for (const auto& kind : kinds) {
    if (kind.matches(config)) {
      return &kind;
    }
  }
  return nullptr;
}

bool describe_folder(const std::string& folder, ModelInfo& info) {
  auto path = fs::path(folder) / "config.json";
  std::ifstream file(path);
  Json config = Json::parse(file, nullptr, /* allow_exceptions */ false);
  if (!config.is_object()) {
    return false;
  }
  const ModelKind* kind = nullptr;
  try {
    kind = find_kind(config);
    if (kind == nullptr) {
      return false;
    }
    info.features = kind->features(config);
  } catch (const Json::exception&) {
    return false; // a field of another type than ours: no model of ours
  }
  info.path = folder;
  info.architecture = kind->architecture;
  info.task = kind->task;
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
  for (const auto& kind : kinds) {
    if (info.architecture == kind.architecture) {
      kind.load(*model, info.path, options);
    }
  }
  return model;
}

} // namespace mlx_audio::engine
