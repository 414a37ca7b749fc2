#include "hub/store.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "hub/cache.h"
#include "hub/client.h"
#include "hub/download.h"
#include "hub/environment.h"
#include "mlx_audio/error.h"
#include "text/nearest.h"

namespace mlx_audio::hub {

namespace {

namespace fs = std::filesystem;

const ShortName* short_name(const std::string& model) {
  for (const auto& entry : short_names()) {
    if (model == entry.name) {
      return &entry;
    }
  }
  return nullptr;
}

std::string nearest_name(const std::string& model) {
  std::string best;
  size_t least = std::max<size_t>(2, model.size() / 3) + 1;
  auto consider = [&](const std::string& name) {
    size_t edits = text::edit_distance(model, name);
    if (edits < least) {
      least = edits;
      best = name;
    }
  };
  if (model.size() <= 200) {
    for (const auto& stored : stored_models()) {
      consider(stored.name);
    }
    for (const auto& entry : short_names()) {
      consider(entry.name);
    }
  }
  return best;
}

[[noreturn]] std::string not_found(const std::string& model) {
  std::string hint;
  if (const ShortName* known = short_name(model)) {
    hint = known->importable
        ? "get it with 'scripts/import-models " + model +
            "' or 'mlx-audio models pull " + model + "'"
        : "get it with 'mlx-audio models pull " + model + "'";
    if (is_offline()) {
      hint += " (HF_HUB_OFFLINE is set)";
    }
  } else {
    std::string near = nearest_name(model);
    hint = near.empty() ? "" : "did you mean '" + near + "'? ";
    hint +=
        "'mlx-audio models list' shows what is here, 'mlx-audio models pull "
        "ORG/NAME' fetches from the Hub";
  }
  throw Error(ErrorKind::not_found, "no model '" + model + "'", hint);
}

} // namespace

std::string store_folder() {
  std::string home = environment("MLX_AUDIO_HOME");
  return (home.empty() ? user_cache() + "/mlx-audio" : home) + "/models";
}

const std::vector<ShortName>& short_names() {
  static const std::vector<ShortName> names = {
      {"kokoro", "mlx-community/Kokoro-82M-bf16", true},
      {"whisper-base", "mlx-community/whisper-base-asr-fp16", true},
      {"whisper-tiny.en", "mlx-community/whisper-tiny.en-asr-fp16", true},
      {"whisper-tiny", "mlx-community/whisper-tiny-asr-fp16", false},
      {"whisper-small", "mlx-community/whisper-small-asr-fp16", false},
      {"whisper-large-v3-turbo",
       "mlx-community/whisper-large-v3-turbo-asr-fp16",
       false},
      {"qwen3-tts", "mlx-community/Qwen3-TTS-12Hz-0.6B-Base-bf16", false},
      {"csm", "mlx-community/csm-1b", false},
      {"vibevoice-asr", "mlx-community/VibeVoice-ASR-bf16", false},
      {"sam-audio", "mlx-community/sam-audio-small-fp16", false},
      {"mossformer2", "starkdmi/MossFormer2_SE_48K_MLX", false},
      {"silero-vad", "mlx-community/silero-vad", true},
  };
  return names;
}

std::string repo_of(const std::string& model) {
  const ShortName* known = short_name(model);
  return known ? known->repo : model;
}

std::string find_local_model(
    const std::string& model,
    const std::string& revision) {
  if (model.empty()) {
    return "";
  }
  // A folder that only happens to be called `kokoro` is not the model.
  if (fs::exists(fs::path(model) / "config.json") ||
      (fs::is_directory(model) && short_name(model) == nullptr)) {
    return model;
  }
  if (!is_repo_id(model)) {
    return "";
  }
  fs::path stored = fs::path(store_folder()) / model;
  if (revision.empty() && fs::exists(stored / "config.json")) {
    return stored.string();
  }
  return cached_snapshot(repo_of(model), revision);
}

std::string resolve_model(
    const std::string& model,
    const std::string& revision) {
  std::string folder = find_local_model(model, revision);
  std::string repo = repo_of(model);
  bool in_cache = !folder.empty() &&
      fs::path(folder).parent_path() ==
          fs::path(repo_folder(repo)) / "snapshots";
  if (!folder.empty() && (!in_cache || is_whole_snapshot(folder))) {
    return folder;
  }
  // Without an owner it is a slip rather than one of the Hub's oldest names.
  bool on_hub = is_repo_id(repo) && repo.find('/') != std::string::npos;
  if (is_offline() || !on_hub) {
    return folder.empty() ? not_found(model) : folder;
  }
  PullOptions options;
  options.revision = revision;
  options.progress = download_display();
  try {
    return pull_model(model, options);
  } catch (const Error& error) {
    std::string near = nearest_name(model);
    if (error.kind() != ErrorKind::not_found || near.empty() || near == model) {
      throw;
    }
    throw Error(error.kind(), error.what(), "did you mean '" + near + "'?");
  }
}

uint64_t remove_model(const std::string& model) {
  fs::path folder;
  if (is_repo_id(model)) {
    fs::path stored = fs::path(store_folder()) / model;
    fs::path cached = repo_folder(repo_of(model));
    std::error_code ignored;
    if (fs::exists(stored / "config.json")) {
      folder = std::move(stored);
    } else if (fs::is_directory(cached, ignored)) {
      folder = std::move(cached);
    }
  }
  if (folder.empty()) {
    throw Error(
        ErrorKind::not_found,
        "no model '" + model + "' on this machine",
        "'mlx-audio models list' shows what is here");
  }
  uint64_t bytes = folder_bytes(folder.string());
  // Renamed first: half a model must not be taken for one.
  fs::path gone = folder.parent_path() /
      ("." + folder.filename().string() + ".removed-" +
       std::to_string(::getpid()));
  std::error_code error;
  fs::rename(folder, gone, error);
  if (!error) {
    fs::remove_all(gone, error);
  }
  if (error) {
    throw Error(
        ErrorKind::io,
        "cannot remove '" + folder.string() + "': " + error.message());
  }
  return bytes;
}

uint64_t folder_bytes(const std::string& folder) {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
    if (!entry.is_symlink() && entry.is_regular_file(ignored)) {
      bytes += entry.file_size(ignored);
    }
  }
  return bytes;
}

std::vector<StoredModel> stored_models() {
  std::vector<StoredModel> models;
  std::error_code ignored;
  auto add = [&](const fs::path& folder, const std::string& name) {
    if (fs::exists(folder / "config.json")) {
      models.push_back({name, folder.string(), "store"});
      return true;
    }
    return false;
  };
  for (const auto& entry : fs::directory_iterator(store_folder(), ignored)) {
    std::string name = entry.path().filename().string();
    if (!add(entry.path(), name) && is_repo_id(name)) {
      for (const auto& inner : fs::directory_iterator(entry.path(), ignored)) {
        add(inner.path(), name + "/" + inner.path().filename().string());
      }
    }
  }
  for (const auto& repo : cached_repos()) {
    std::string snapshot = cached_snapshot(repo, "");
    if (!snapshot.empty()) {
      models.push_back({repo, snapshot, "hub cache"});
    }
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) {
    return std::pair(a.name, a.place) < std::pair(b.name, b.place);
  });
  return models;
}

} // namespace mlx_audio::hub
