// Any known checkpoint in, a folder as mlx-community has it out.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "checkpoint/tensor.h"

namespace mlx_audio::convert {

struct ConvertOptions {
  /// A folder or a file.
  std::string source;
  /// The folder to make; it must not exist, or be empty.
  std::string output;
  /// Type of the float tensors; empty: as in the source.
  std::optional<checkpoint::DType> dtype;
  /// Called with bytes written and their sum.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

/// Converts. Nothing is at `output` until all of it is written.
void convert(const ConvertOptions& options);

} // namespace mlx_audio::convert
