#include "hub/listing.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"

namespace mlx_audio::hub {

namespace {

using nlohmann::json;

[[noreturn]] void bad_listing(const std::string& why) {
  throw Error(
      ErrorKind::corrupt_data, "the Hub's listing of files is bad: " + why);
}

// For messages: what a terminal can show.
std::string printable(std::string_view text) {
  std::string result(text.substr(0, 100));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 32 || c == 127) {
      c = '?';
    }
  }
  return result;
}

std::string text_at(const json& object, const char* key) {
  auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string()
      ? found->get<std::string>()
      : "";
}

json object_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : json::object();
}

uint64_t number_at(const json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned()
      ? found->get<uint64_t>()
      : 0;
}

RepoFile parse_file(const json& entry) {
  RepoFile file;
  file.path = text_at(entry, "rfilename");
  if (!is_safe_path(file.path)) {
    bad_listing("unsafe path '" + printable(file.path) + "'");
  }
  json lfs = object_at(entry, "lfs");
  file.hash = text_at(lfs, "sha256");
  file.size = number_at(lfs, "size");
  if (file.hash.empty()) {
    file.hash = text_at(entry, "blobId");
    file.size = number_at(entry, "size");
    if (!entry.contains("size")) {
      file.hash.clear();
    }
  }
  if (!file.hash.empty() && !is_hash(file.hash)) {
    bad_listing("'" + printable(file.hash) + "' is no hash");
  }
  if (file.size > uint64_t{1} << 50) {
    bad_listing("size of '" + file.path + "'");
  }
  return file;
}

// 0 is best; -1: no weights.
int weights_rank(const std::string& extension) {
  static const std::map<std::string, int> ranks = {
      {".safetensors", 0},
      {".npz", 1},
      {".pth", 2},
      {".pt", 2},
      {".bin", 2},
      {".onnx", 3}};
  auto found = ranks.find(extension);
  return found == ranks.end() ? -1 : found->second;
}

bool is_side_file(const std::filesystem::path& path) {
  static const std::set<std::string> extensions = {
      ".json",
      ".jsonl",
      ".yaml",
      ".yml",
      ".txt",
      ".model",
      ".tiktoken",
      ".jinja",
      ".wav"};
  std::string name = path.filename().string();
  return extensions.count(path.extension().string()) != 0 ||
      name == "README.md" || name == "NOTICE" ||
      name.rfind("LICENSE", 0) == 0 || name == "last_best_checkpoint" ||
      name == "last_checkpoint";
}

} // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1000) {
    return false;
  }
  for (char c : path) {
    if (static_cast<unsigned char>(c) < 32 || c == 127 || c == '\\') {
      return false;
    }
  }
  size_t start = 0;
  while (start <= path.size()) {
    size_t end = std::min(path.find('/', start), path.size());
    std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) {
      return false;
    }
    start = end + 1;
  }
  return true;
}

bool is_hash(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
      text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_weights_file(const std::string& name) {
  return weights_rank(std::filesystem::path(name).extension().string()) >= 0;
}

Listing parse_listing(std::string_view text) {
  json answer = checkpoint::parse_json(text, "the Hub's listing");
  Listing listing;
  listing.commit = text_at(answer, "sha");
  if (listing.commit.size() != 40 || !is_hash(listing.commit)) {
    bad_listing("it names no commit");
  }
  auto siblings = answer.find("siblings");
  if (siblings == answer.end() || !siblings->is_array() ||
      siblings->size() > 20'000) {
    bad_listing("no files, or too many");
  }
  std::set<std::string> paths;
  for (const auto& entry : *siblings) {
    if (!entry.is_object()) {
      bad_listing("an entry is no object");
    }
    listing.files.push_back(parse_file(entry));
    if (!paths.insert(listing.files.back().path).second) {
      bad_listing("'" + listing.files.back().path + "' twice");
    }
  }
  for (const auto& path : paths) {
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      if (paths.count(path.substr(0, slash))) {
        bad_listing(
            "'" + path.substr(0, slash) + "' is both a file and a folder");
      }
    }
  }
  listing.license = text_at(object_at(answer, "cardData"), "license");
  listing.model_type = text_at(object_at(answer, "config"), "model_type");
  listing.parameters = number_at(object_at(answer, "safetensors"), "total");
  return listing;
}

std::vector<RepoFile> needed_files(const std::vector<RepoFile>& files) {
  namespace fs = std::filesystem;
  std::map<std::string, int> best; // rank of the weights of a folder
  bool has_index = false;
  bool any_but_onnx = false;
  for (const auto& file : files) {
    fs::path path(file.path);
    int rank = weights_rank(path.extension().string());
    if (rank >= 0) {
      auto [at, added] = best.emplace(path.parent_path().string(), rank);
      at->second = std::min(at->second, rank);
      any_but_onnx = any_but_onnx || rank < 3;
    }
    has_index = has_index || file.path == "model.safetensors.index.json";
  }
  std::vector<RepoFile> needed;
  for (const auto& file : files) {
    fs::path path(file.path);
    std::string name = path.filename().string();
    bool hidden =
        file.path[0] == '.' || file.path.find("/.") != std::string::npos;
    int rank = weights_rank(path.extension().string());
    bool wanted = rank < 0 ? is_side_file(path)
                           : rank == best[path.parent_path().string()] &&
            !(rank == 3 && any_but_onnx);
    // The same weights in one piece beside shards.
    bool doubled = has_index && file.path == name &&
        name.rfind("consolidated", 0) == 0 && rank == 0;
    if (!hidden && wanted && !doubled) {
      needed.push_back(file);
    }
  }
  return needed;
}

} // namespace mlx_audio::hub
