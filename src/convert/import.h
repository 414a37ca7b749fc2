// A checkpoint of any known form as the folder it becomes: tensors under their
// final names, a config and the files beside.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/lazy_tensor.h"

namespace mlx_audio::convert {

struct Import {
  /// What config.json calls the architecture, e.g. "kokoro".
  std::string model_type;
  /// What the source was, for people, e.g. "ONNX".
  std::string format;
  nlohmann::json config;
  std::vector<checkpoint::LazyTensor> tensors;
  /// Name of the one weights file, or empty for model.safetensors or shards.
  std::string weights_file;
  /// Metadata "format" of the weights: "mlx", or "pt" where the original's
  /// layout was kept.
  std::string layout = "mlx";
  /// Licence as model cards name it, e.g. "apache-2.0", or empty.
  std::string license;
  /// Further safetensors files by relative path, e.g. voices; never quantized.
  std::map<std::string, std::vector<checkpoint::LazyTensor>> extra_tensors;
  /// JSON files to write beside config.json, by relative path.
  std::map<std::string, nlohmann::json> side_files;
  /// Files to copy: relative path in the output and where they lie now.
  std::map<std::string, std::string> copies;
};

/// Looks at a folder or a file and reads its config and its tensors' names.
/// not_found, corrupt_data or unsupported if that fails.
Import import_checkpoint(const std::string& path);

} // namespace mlx_audio::convert
