#include "nn/load.h"

#include <filesystem>
#include <set>

#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"
#include "mlx_audio/error.h"

namespace mlx_audio::nn {

namespace {

std::set<std::string> shard_names(const std::string& index_path) {
  auto index = checkpoint::read_json(index_path);
  std::set<std::string> names;
  if (!index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw Error(
        ErrorKind::corrupt_data, "'" + index_path + "' has no weight_map");
  }
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name.find('/') != std::string::npos ||
        name.find('\\') != std::string::npos) {
      throw Error(
          ErrorKind::corrupt_data,
          "'" + index_path + "' puts '" + tensor + "' into " + file.dump());
    }
    names.insert(name);
  }
  return names;
}

} // namespace

LoadedWeights load_weights(const std::string& folder) {
  std::set<std::string> names{"model.safetensors"};
  std::string index = folder + "/model.safetensors.index.json";
  if (!std::filesystem::exists(folder + "/model.safetensors") &&
      std::filesystem::exists(index)) {
    names = shard_names(index);
  }
  std::map<std::string, mx::array> tensors;
  bool mlx = false;
  for (const auto& name : names) {
    std::string path = folder + "/" + name;
    auto shard = Weights::load(path);
    checkpoint::SafetensorsFile file(path);
    auto format = file.metadata().find("format");
    mlx = mlx || (format != file.metadata().end() && format->second == "mlx");
    for (auto& [tensor, value] : shard.tensors()) {
      if (!tensors.emplace(tensor, value).second) {
        throw Error(
            ErrorKind::corrupt_data,
            "tensor '" + tensor + "' is in two files of '" + folder + "'");
      }
    }
  }
  LoadedWeights loaded;
  loaded.weights = Weights(std::move(tensors), folder);
  loaded.weights.read_quantization(folder);
  loaded.conv_layout = mlx ? ConvLayout::mlx : ConvLayout::torch;
  return loaded;
}

} // namespace mlx_audio::nn
