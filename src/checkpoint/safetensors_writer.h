// Writing of safetensors files, one tensor at a time.
#pragma once

#include <functional>
#include <string>

#include "checkpoint/lazy_tensor.h"

namespace mlx_audio::checkpoint {

/// Called after each tensor with the bytes written so far and their sum.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

/// Writes one file at `path` (which must not be in use: write into a temporary
/// folder and rename that). Only one tensor is in memory at a time. They are
/// ordered by name, but the few whose bytes are no multiple of 8 come last, so
/// that each is aligned. A failed or short write is an io error. The header
/// carries `metadata`.
void write_safetensors(
    const std::string& path,
    std::vector<LazyTensor> tensors,
    const std::map<std::string, std::string>& metadata = {{"format", "mlx"}},
    const Progress& progress = {});

struct ShardedResult {
  std::vector<std::string> files; ///< names in the folder
  uint64_t total_bytes = 0; ///< of all tensors
};

/// Writes `model.safetensors`, or `model-00001-of-0000N.safetensors` of at most
/// `shard_bytes` each, and `model.safetensors.index.json` into `folder`.
ShardedResult write_sharded_safetensors(
    const std::string& folder,
    std::vector<LazyTensor> tensors,
    uint64_t shard_bytes = 5'000'000'000,
    const std::map<std::string, std::string>& metadata = {{"format", "mlx"}},
    const Progress& progress = {});

} // namespace mlx_audio::checkpoint
