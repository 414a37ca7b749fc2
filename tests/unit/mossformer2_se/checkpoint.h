// Writes tiny checkpoints for tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "models/mossformer2_se/weights.h"
#include "unit/mossformer2_se/tiny_model.h"

namespace mlx_audio::tiny {

namespace fs = std::filesystem;

using Tensors = std::map<std::string, mx::array>;

/// A folder that vanishes with the object.
class TempFolder {
 public:
  TempFolder() {
    static int count = 0;
    path_ = fs::temp_directory_path() /
        ("mossformer2_" + std::to_string(::getpid()) + "_" +
         std::to_string(count++));
    fs::create_directories(path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  std::string string() const {
    return path_.string();
  }

 private:
  fs::path path_;
};

/// The limit of whole files is 2 s and segments have 1 s, so that tests of long
/// files are short.
inline std::string config(const std::string& more = "") {
  return R"({"model_type": "mossformer2_se", "one_time_decode_length": 2,
    "decode_window": 1, "chunk_seconds": 1)" +
      more + "}";
}

inline void write(
    const std::string& folder,
    const Tensors& tensors,
    const std::string& json = config()) {
  fs::create_directories(folder);
  mx::save_safetensors(
      folder + "/model.safetensors", {tensors.begin(), tensors.end()});
  std::ofstream(folder + "/config.json") << json;
}

/// As the MLX conversions name and lay out the tensors.
inline Tensors mlx_layout(const Tensors& upstream) {
  nn::Weights weights(upstream, "test");
  mossformer2_se::canonicalize(weights);
  Tensors out;
  for (const auto& [name, value] : weights.tensors()) {
    bool norm = name == "norm.weight" || name == "norm.bias";
    out.emplace(
        "model.mossformer." + name,
        norm ? mx::reshape(value, {value.shape(0), 1}) : value);
  }
  return out;
}

inline Tensors quantized(const Tensors& mlx, int bits, int group = 64) {
  Tensors out;
  for (const auto& [name, value] : mlx) {
    bool layer =
        ends_with(name, ".linear.weight") || ends_with(name, ".project.weight");
    if (!layer || value.shape(1) % group != 0) {
      out.emplace(name, value);
      continue;
    }
    auto parts = mx::quantize(value, group, bits);
    auto path = name.substr(0, name.size() - 6);
    out.emplace(name, parts[0]);
    out.emplace(path + "scales", parts[1]);
    out.emplace(path + "biases", parts[2]);
  }
  return out;
}

} // namespace mlx_audio::tiny
