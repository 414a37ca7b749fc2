#include "hub/model_info.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "checkpoint/json.h"
#include "checkpoint/license.h"
#include "checkpoint/safetensors.h"
#include "hub/client.h"
#include "hub/listing.h"
#include "mlx_audio/error.h"

namespace mlx_audio::hub {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string architecture_of(const json& config) {
  auto type = config.find("model_type");
  if (type != config.end() && type->is_string()) {
    return type->get<std::string>();
  }
  return config.contains("istftnet")     ? "kokoro"
      : config.contains("n_audio_state") ? "whisper"
                                         : "";
}

int64_t group_size_of(const json& config) {
  for (const char* key : {"quantization", "quantization_config"}) {
    auto all = config.find(key);
    if (all != config.end() && all->is_object()) {
      auto size = all->find("group_size");
      if (size != all->end() && size->is_number_integer()) {
        return size->get<int64_t>();
      }
    }
  }
  return 64;
}

std::string packing_text(const json& config) {
  for (const char* key : {"quantization", "quantization_config"}) {
    auto all = config.find(key);
    if (all == config.end() || !all->is_object()) {
      continue;
    }
    auto text = [&](const char* name, const char* otherwise) {
      auto value = all->find(name);
      return value == all->end() ? std::string(otherwise)
          : value->is_string()   ? value->get<std::string>()
                                 : value->dump();
    };
    bool mixed = std::any_of(
        all->begin(), all->end(), [](const auto& v) { return v.is_object(); });
    return fmt::format(
        "{} {}-bit, groups of {}{}",
        text("mode", "affine"),
        text("bits", "?"),
        text("group_size", "64"),
        mixed ? ", some layers otherwise" : "");
  }
  return "";
}

const char* plain_name(checkpoint::DType type) {
  switch (type) {
    case checkpoint::DType::float16:
      return "float16";
    case checkpoint::DType::bfloat16:
      return "bfloat16";
    case checkpoint::DType::float32:
      return "float32";
    default:
      return checkpoint::to_string(type);
  }
}

void count_weights(
    const checkpoint::SafetensorsFile& file,
    int64_t group_size,
    ModelInfo& info,
    std::map<std::string, uint64_t>& types) {
  std::map<std::string, const checkpoint::TensorInfo*> names;
  for (const auto& tensor : file.tensors()) {
    names[tensor.name] = &tensor;
  }
  auto without = [](const std::string& name, const std::string& end) {
    return name.size() > end.size() &&
            name.compare(name.size() - end.size(), end.size(), end) == 0
        ? name.substr(0, name.size() - end.size())
        : std::string();
  };
  for (const auto& tensor : file.tensors()) {
    info.weight_bytes += tensor.bytes;
    std::string scales = without(tensor.name, ".scales");
    std::string biases = without(tensor.name, ".biases");
    std::string path = scales.empty() ? biases : scales;
    auto packed = path.empty() ? names.end() : names.find(path + ".weight");
    bool part = packed != names.end() &&
        packed->second->dtype == checkpoint::DType::uint32;
    uint64_t elements = checkpoint::element_count(tensor.shape);
    if (part && !scales.empty()) {
      info.parameters += elements * static_cast<uint64_t>(group_size);
    } else if (!part && tensor.dtype != checkpoint::DType::uint32) {
      info.parameters += elements;
      types[plain_name(tensor.dtype)] += elements;
    }
  }
}

uint64_t estimated_memory(uint64_t weights) {
  return 2 * weights + 400'000'000;
}

} // namespace

ModelInfo read_model_info(const std::string& folder) {
  json config = checkpoint::read_json(folder + "/config.json");
  ModelInfo info;
  info.architecture = architecture_of(config);
  info.license = checkpoint::license_in(folder);
  std::map<std::string, uint64_t> types;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    const fs::path& path = entry.path();
    if (!entry.is_regular_file(error)) {
      continue;
    }
    info.size_bytes += entry.file_size(error);
    std::string relative = path.lexically_relative(folder).string();
    if (path.extension() == ".safetensors" &&
        relative.rfind("voices/", 0) != 0) {
      count_weights(
          checkpoint::SafetensorsFile(path.string()),
          group_size_of(config),
          info,
          types);
    }
  }
  info.precision = packing_text(config);
  if (info.precision.empty() && !types.empty()) {
    info.precision =
        std::max_element(types.begin(), types.end(), [](auto& a, auto& b) {
          return a.second < b.second;
        })->first;
  }
  if (info.parameters > 0) {
    info.bits_per_weight = 8 * static_cast<double>(info.weight_bytes) /
        static_cast<double>(info.parameters);
  }
  info.memory_bytes = estimated_memory(info.weight_bytes);
  return info;
}

ModelInfo fetch_model_info(
    const std::string& repo,
    const std::string& revision) {
  Listing listing = fetch_listing(Client(repo), repo, revision);
  ModelInfo info;
  info.architecture = listing.model_type;
  info.license = listing.license;
  info.parameters = listing.parameters;
  for (const auto& file : needed_files(listing.files)) {
    info.size_bytes += file.size;
    if (is_weights_file(file.path) && file.path.rfind("voices/", 0) != 0) {
      info.weight_bytes += file.size;
    }
  }
  if (info.parameters > 0) {
    info.bits_per_weight = 8 * static_cast<double>(info.weight_bytes) /
        static_cast<double>(info.parameters);
  }
  info.memory_bytes = estimated_memory(info.weight_bytes);
  return info;
}

} // namespace mlx_audio::hub
