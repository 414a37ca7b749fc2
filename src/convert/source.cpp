#include "convert/source.h"

#include <algorithm>
#include <filesystem>

#include "checkpoint/json.h"
#include "checkpoint/npy.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch_file.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

namespace fs = std::filesystem;

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
      text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

void add_file(Source& source, const std::string& path) {
  std::shared_ptr<const checkpoint::TensorSource> file;
  if (ends_with(path, ".safetensors")) {
    source.format = "safetensors";
    file = std::make_shared<checkpoint::SafetensorsFile>(path);
    auto format = file->metadata().find("format");
    if (format != file->metadata().end()) {
      source.layout = format->second;
    }
  } else if (ends_with(path, ".npz") || ends_with(path, ".npy")) {
    source.format = "NumPy";
    file = std::make_shared<checkpoint::NpyFile>(path);
  } else {
    source.format = "PyTorch";
    auto torch = std::make_shared<checkpoint::TorchFile>(path);
    source.values.update(torch->values());
    file = torch;
  }
  for (auto& tensor : checkpoint::lazy_tensors(file)) {
    source.tensors.push_back(std::move(tensor));
  }
  source.files.insert(fs::absolute(path).lexically_normal().string());
}

// The shards that an index names; names that leave the folder are refused.
std::vector<std::string> shards_of(const fs::path& index) {
  auto json = checkpoint::read_json(index.string());
  std::set<std::string> files;
  auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object()) {
    throw Error(
        ErrorKind::corrupt_data, "'" + index.string() + "' has no weight_map");
  }
  for (const auto& [tensor, file] : map->items()) {
    std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos) {
      throw Error(
          ErrorKind::corrupt_data,
          "'" + index.string() + "' names the file '" + name + "'");
    }
    files.insert((index.parent_path() / name).string());
  }
  return {files.begin(), files.end()};
}

std::vector<std::string> weight_files(const fs::path& folder) {
  for (const char* index :
       {"model.safetensors.index.json", "pytorch_model.bin.index.json"}) {
    if (fs::exists(folder / index)) {
      return shards_of(folder / index);
    }
  }
  for (const char* extension :
       {".safetensors", ".npz", ".pth", ".pt", ".bin"}) {
    auto files = files_with(folder.string(), extension);
    if (!files.empty()) {
      return files;
    }
  }
  throw Error(
      ErrorKind::not_found,
      "'" + folder.string() + "' holds no weights",
      "looked for .safetensors, .npz, .pth, .pt and .bin files, an .onnx and "
      "CTranslate2's model.bin");
}

} // namespace

std::vector<std::string> files_with(
    const std::string& folder,
    const std::string& extension) {
  std::vector<std::string> found;
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.is_regular_file() &&
          ends_with(entry.path().filename().string(), extension)) {
        found.push_back(entry.path().string());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

Source open_source(const std::string& path) {
  Source source;
  if (fs::is_directory(path)) {
    for (const auto& file : weight_files(path)) {
      add_file(source, file);
    }
  } else {
    add_file(source, path);
  }
  std::set<std::string> names;
  for (const auto& tensor : source.tensors) {
    if (!names.insert(tensor.name).second) {
      throw Error(
          ErrorKind::corrupt_data,
          "two files of '" + path + "' hold a tensor '" + tensor.name + "'");
    }
  }
  return source;
}

} // namespace mlx_audio::convert
