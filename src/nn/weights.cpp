#include "nn/weights.h"

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "mlx_audio/error.h"

namespace mlx_audio::nn {

namespace {

std::string shape_string(const mx::Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + (shape[i] < 0 ? "any" : std::to_string(shape[i]));
  }
  return text + "]";
}

bool matches(const mx::Shape& actual, const mx::Shape& expected) {
  if (actual.size() != expected.size()) {
    return false;
  }
  for (size_t i = 0; i < actual.size(); ++i) {
    if (expected[i] >= 0 && actual[i] != expected[i]) {
      return false;
    }
  }
  return true;
}

} // namespace

Weights::Weights(std::map<std::string, mx::array> tensors, std::string source)
    : tensors_(std::move(tensors)), source_(std::move(source)) {}

Weights Weights::load(const std::string& path) {
  if (!std::filesystem::exists(path)) {
    throw Error(ErrorKind::not_found, "no weights at '" + path + "'");
  }
  checkpoint::SafetensorsFile checked(path); // stricter than MLX's reader
  try {
    auto [tensors, metadata] = mx::load_safetensors(path);
    return Weights({tensors.begin(), tensors.end()}, path);
  } catch (const std::exception& error) {
    throw Error(
        ErrorKind::corrupt_data, "cannot read '" + path + "': " + error.what());
  }
}

bool Weights::has(const std::string& name) const {
  return tensors_.count(name) != 0;
}

mx::array Weights::take(const std::string& name, const mx::Shape& shape) {
  auto tensor = take_optional(name, shape);
  if (!tensor) {
    throw Error(
        ErrorKind::corrupt_data,
        "tensor '" + name + "' is missing in '" + source_ + "'",
        "convert the checkpoint again or fetch it anew");
  }
  return *tensor;
}

std::optional<mx::array> Weights::take_optional(
    const std::string& name,
    const mx::Shape& shape) {
  auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return std::nullopt;
  }
  if (!matches(found->second.shape(), shape)) {
    throw Error(
        ErrorKind::corrupt_data,
        "tensor '" + name + "' has shape " +
            shape_string(found->second.shape()) + " instead of " +
            shape_string(shape) + " in '" + source_ + "'");
  }
  taken_.insert(name);
  return found->second;
}

void Weights::ignore(const std::string& name) {
  taken_.insert(name);
}

void Weights::release(const std::string& name) {
  tensors_.erase(name);
}

void Weights::expect_all_taken() const {
  size_t extra = 0;
  std::string first;
  for (const auto& [name, tensor] : tensors_) {
    if (taken_.count(name) == 0 && extra++ == 0) {
      first = name;
    }
  }
  if (extra > 0) {
    throw Error(
        ErrorKind::corrupt_data,
        "tensor '" + first + "'" +
            (extra > 1 ? " and " + std::to_string(extra - 1) + " more" : "") +
            " in '" + source_ + "' belong to no layer of the model",
        "is config.json the one of these weights?");
  }
}

size_t Weights::bytes() const {
  size_t sum = 0;
  for (const auto& [name, tensor] : tensors_) {
    sum += tensor.nbytes();
  }
  return sum;
}

void Weights::cast(mx::Dtype dtype) {
  for (auto& [name, tensor] : tensors_) {
    if (mx::issubdtype(tensor.dtype(), mx::floating) &&
        tensor.dtype() != dtype) {
      tensor = mx::astype(tensor, dtype);
    }
  }
}

std::optional<Quantization> Weights::quantization(
    const std::string& path) const {
  if (!has(path + ".scales")) {
    return std::nullopt;
  }
  auto found = layer_quantization_.find(path);
  return found == layer_quantization_.end() ? default_quantization_
                                            : found->second;
}

void Weights::read_quantization(const std::string& folder) {
  using Json = nlohmann::json;
  std::ifstream file(std::filesystem::path(folder) / "config.json");
  Json config = Json::parse(file, nullptr, /* allow_exceptions */ false);
  if (!config.is_object()) {
    return;
  }
  for (const char* key : {"quantization", "quantization_config"}) {
    if (!config.contains(key) || !config[key].is_object()) {
      continue;
    }
    auto read = [](const Json& json, const Quantization& fallback) {
      return Quantization{
          json.value("group_size", fallback.group_size),
          json.value("bits", fallback.bits),
          json.value("mode", fallback.mode)};
    };
    try {
      default_quantization_ = read(config[key], default_quantization_);
      for (const auto& [path, value] : config[key].items()) {
        if (value.is_object()) {
          layer_quantization_[path] = read(value, default_quantization_);
        }
      }
    } catch (const Json::exception& error) {
      throw Error(
          ErrorKind::corrupt_data,
          "'" + folder + "/config.json': bad quantization: " + error.what());
    }
    return;
  }
}

} // namespace mlx_audio::nn
