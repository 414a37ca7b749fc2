#include "engine/library.h"

#include "engine/model_folder.h"
#include "hub/store.h"
#include "text/nearest.h"

namespace mlx_audio::engine {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto fresh_for = std::chrono::seconds(2);

} // namespace

Library::Library(std::vector<std::pair<std::string, std::string>> folders)
    : folders_(std::move(folders)) {
  for (const auto& [id, folder] : folders_) {
    ModelInfo info;
    if (!describe_folder(folder, info)) {
      throw Error(
          ErrorKind::unsupported,
          "'" + folder + "' holds no model that can be served",
          "give the folder of a checkpoint with a config.json");
    }
  }
}

void Library::read_again() {
  models_.clear();
  auto add = [&](const std::string& id, const std::string& folder) {
    ModelInfo info;
    info.id = id;
    if (models_.count(id) == 0 && describe_folder(folder, info)) {
      models_.emplace(id, std::move(info));
    }
  };
  for (const auto& [id, folder] : folders_) {
    add(id, folder);
  }
  for (const auto& stored : hub::stored_models()) {
    add(stored.name, stored.path);
  }
  read_ = Clock::now();
}

const ModelInfo* Library::known(const std::string& id) const {
  auto found = models_.find(id);
  if (found == models_.end()) {
    for (const auto& entry : hub::short_names()) {
      if (id == entry.name) {
        found = models_.find(entry.repo);
      } else if (id == entry.repo) {
        found = models_.find(entry.name);
      }
      if (found != models_.end()) {
        break;
      }
    }
  }
  return found == models_.end() ? nullptr : &found->second;
}

std::vector<ModelInfo> Library::list() {
  std::lock_guard lock(mutex_);
  if (Clock::now() - read_ > fresh_for) {
    read_again();
  }
  std::vector<ModelInfo> all;
  for (const auto& [id, info] : models_) {
    all.push_back(info);
  }
  return all;
}

ModelInfo Library::find(const std::string& id) {
  std::lock_guard lock(mutex_);
  const ModelInfo* info = known(id);
  if (info == nullptr && Clock::now() - read_ > fresh_for) {
    read_again();
    info = known(id);
  }
  if (info != nullptr) {
    return *info;
  }
  std::string best;
  size_t least = std::max<size_t>(2, id.size() / 3) + 1;
  for (const auto& [name, model] : models_) {
    size_t edits = id.size() > 200 ? least : text::edit_distance(id, name);
    if (edits < least) {
      least = edits;
      best = name;
    }
  }
  throw Error(
      ErrorKind::not_found,
      "no model '" + id.substr(0, 200) + "'",
      (best.empty() ? "" : "did you mean '" + best + "'? ") +
          "GET /v1/models or 'mlx-audio models list' shows what is here");
}

} // namespace mlx_audio::engine
