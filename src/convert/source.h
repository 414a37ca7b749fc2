// The files that a checkpoint's tensors lie in.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/lazy_tensor.h"

namespace mlx_audio::convert {

struct Source {
  std::string format; ///< "safetensors", "PyTorch" or "NumPy"
  std::vector<checkpoint::LazyTensor> tensors;
  /// Absolute paths of the files that were read.
  std::set<std::string> files;
  /// What safetensors files say about their layout ("mlx", "pt"), or empty.
  std::string layout;
  /// What a PyTorch file holds beside tensors.
  nlohmann::json values = nlohmann::json::object();
};

/// Opens the weights of a folder: the shards of its index, else all safetensors
/// files in it, else its .npz, else its .pth, .pt or .bin files. Or one file of
/// these. corrupt_data if two files have a tensor of one name.
Source open_source(const std::string& path);

/// Files right in `folder` whose names end with `extension`, sorted.
std::vector<std::string> files_with(
    const std::string& folder,
    const std::string& extension);

} // namespace mlx_audio::convert
