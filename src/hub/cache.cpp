#include "hub/cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "checkpoint/json.h"
#include "hub/environment.h"
#include "hub/listing.h"

namespace mlx_audio::hub {

namespace fs = std::filesystem;

std::string cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    std::string folder = environment(name);
    if (!folder.empty()) {
      return folder;
    }
  }
  std::string home = environment("HF_HOME");
  if (home.empty()) {
    home = user_cache() + "/huggingface";
  }
  return home + "/hub";
}

bool is_repo_id(const std::string& text) {
  auto part = [](const std::string& name) {
    return !name.empty() && name[0] != '.' && name[0] != '-' &&
        name.back() != '.' && name.back() != '-' &&
        name.find("..") == std::string::npos &&
        name.find("--") == std::string::npos &&
        std::all_of(name.begin(), name.end(), [](unsigned char c) {
          return std::isalnum(c) || c == '.' || c == '-' || c == '_';
        });
  };
  size_t slash = text.find('/');
  if (text.size() > 96) {
    return false;
  }
  return slash == std::string::npos
      ? part(text)
      : part(text.substr(0, slash)) && part(text.substr(slash + 1));
}

bool is_revision(const std::string& text) {
  return !text.empty() && text.size() <= 200 && text[0] != '/' &&
      text[0] != '.' && text[0] != '-' && text.back() != '/' &&
      text.find("..") == std::string::npos &&
      text.find("//") == std::string::npos &&
      text.find("/.") == std::string::npos &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == '/';
      });
}

std::string repo_folder(const std::string& repo) {
  std::string name = "models--";
  for (char c : repo) {
    name.append(c == '/' ? 2 : 1, c == '/' ? '-' : c);
  }
  return cache_folder() + "/" + name;
}

std::string cached_commit(
    const std::string& repo,
    const std::string& revision) {
  std::string name = revision.empty() ? "main" : revision;
  if (!is_repo_id(repo) || !is_revision(name)) {
    return "";
  }
  fs::path folder = repo_folder(repo);
  std::string commit;
  std::ifstream(folder / "refs" / name) >> commit;
  if (commit.empty()) {
    commit = name;
  }
  bool safe = commit.size() <= 64 &&
      std::all_of(commit.begin(), commit.end(), [](unsigned char c) {
                return std::isalnum(c);
              });
  return safe && fs::is_directory(folder / "snapshots" / commit) ? commit : "";
}

std::string cached_snapshot(
    const std::string& repo,
    const std::string& revision) {
  std::string commit = cached_commit(repo, revision);
  if (commit.empty()) {
    return "";
  }
  fs::path folder = fs::path(repo_folder(repo)) / "snapshots" / commit;
  return fs::exists(folder / "config.json") ? folder.string() : "";
}

bool is_whole_snapshot(const std::string& folder) {
  fs::path root(folder);
  if (!fs::exists(root / "config.json")) {
    return false;
  }
  fs::path index = root / "model.safetensors.index.json";
  if (fs::exists(index)) {
    auto map = checkpoint::read_json(index.string())
                   .value("weight_map", nlohmann::json::object());
    return std::all_of(map.begin(), map.end(), [&](const auto& file) {
      return file.is_string() &&
          is_safe_path(file.template get<std::string>()) &&
          fs::exists(root / file.template get<std::string>());
    });
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root, ignored)) {
    if (is_weights_file(entry.path().filename().string()) && entry.exists()) {
      return true;
    }
  }
  return false;
}

std::vector<std::string> cached_repos() {
  std::vector<std::string> repos;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(cache_folder(), ignored)) {
    std::string name = entry.path().filename().string();
    if (name.rfind("models--", 0) == 0 && entry.is_directory()) {
      std::string repo = name.substr(8);
      size_t dash = repo.find("--");
      if (dash != std::string::npos) {
        repo.erase(dash, 1);
        repo[dash] = '/';
      }
      if (is_repo_id(repo)) {
        repos.push_back(repo);
      }
    }
  }
  std::sort(repos.begin(), repos.end());
  return repos;
}

} // namespace mlx_audio::hub
