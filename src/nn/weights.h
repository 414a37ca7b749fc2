// The tensors of a checkpoint, taken one by one under a strict rule: a missing
// or misshapen tensor, and one that nobody took, are errors that name it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "mlx/mlx.h"

namespace mlx_audio::nn {

namespace mx = mlx::core;

/// Quantization as config.json states it, with overrides by layer path.
struct Quantization {
  int group_size = 64;
  int bits = 4;
  std::string mode = "affine"; ///< or mxfp4, nvfp4, mxfp8

  bool affine() const {
    return mode == "affine";
  }
};

class Weights {
 public:
  Weights() = default;
  /// @param source what errors call the checkpoint, e.g. its path.
  Weights(std::map<std::string, mx::array> tensors, std::string source);

  /// Reads one safetensors file (or all of a list of shards).
  static Weights load(const std::string& path);

  bool has(const std::string& name) const;

  /// The tensor `name`, which must have `shape` (-1 matches any size).
  mx::array take(const std::string& name, const mx::Shape& shape);
  /// The same, or nothing if the checkpoint lacks it.
  std::optional<mx::array> take_optional(
      const std::string& name,
      const mx::Shape& shape);
  /// Marks a tensor as known but not needed.
  void ignore(const std::string& name);

  /// Lets go of a tensor that was taken.
  void release(const std::string& name);

  /// Error if a tensor was never taken or ignored.
  void expect_all_taken() const;

  /// Renames every tensor, and the layers that config.json overrides; an empty
  /// result drops it.
  template <class Rename>
  void rename(Rename&& rename) {
    std::map<std::string, mx::array> renamed;
    for (auto& [name, tensor] : tensors_) {
      std::string to = rename(name);
      if (!to.empty()) {
        renamed.emplace(std::move(to), std::move(tensor));
      }
    }
    tensors_ = std::move(renamed);
    rename_layers(rename);
  }
  /// The same for the layers that config.json overrides only.
  template <class Rename>
  void rename_layers(Rename&& rename) {
    const std::string suffix = ".weight";
    std::map<std::string, Quantization> renamed;
    for (const auto& [path, quantization] : layer_quantization_) {
      std::string to = rename(path + suffix);
      if (to.size() > suffix.size()) {
        renamed[to.substr(0, to.size() - suffix.size())] = quantization;
      }
    }
    layer_quantization_ = std::move(renamed);
  }

  /// Casts float tensors (not the packed ones of quantized layers).
  void cast(mx::Dtype dtype);

  /// Quantization of the layer at `path`, if it is quantized: it has
  /// `path.scales`.
  std::optional<Quantization> quantization(const std::string& path) const;
  /// Reads `quantization` of `folder`/config.json, if it is there.
  void read_quantization(const std::string& folder);

  /// Size of all tensors.
  size_t bytes() const;

  std::map<std::string, mx::array>& tensors() {
    return tensors_;
  }
  const std::string& source() const {
    return source_;
  }

 private:
  std::map<std::string, mx::array> tensors_;
  std::set<std::string> taken_;
  std::string source_;
  Quantization default_quantization_;
  std::map<std::string, Quantization> layer_quantization_;
};

} // namespace mlx_audio::nn
