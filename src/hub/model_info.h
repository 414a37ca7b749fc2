// What a model is, told from its files without loading it.
#pragma once

#include <cstdint>
#include <string>

namespace mlx_audio::hub {

struct ModelInfo {
  std::string architecture; ///< e.g. "whisper"; empty if config.json is silent
  uint64_t parameters = 0; ///< weights, packed ones counted one by one
  double bits_per_weight = 0; ///< of the weights files, scales included
  /// "affine 4-bit, groups of 64", "float16", ...: how most weights are kept.
  std::string precision;
  uint64_t weight_bytes = 0; ///< in safetensors files, voices not counted
  uint64_t size_bytes = 0; ///< of all files, what links point to
  /// Estimate of what a process needs: twice the weights (they are packed for
  /// the machine's kernels) and 400 MB.
  uint64_t memory_bytes = 0;
  std::string license; ///< as in the model card, or empty
};

/// Reads config.json and the headers of the weights; not_found or corrupt_data
/// if they are missing or broken.
ModelInfo read_model_info(const std::string& folder);

/// The same for a repository that is not on this machine, as far as the Hub
/// knows: sizes and hashes are not fetched file by file.
ModelInfo fetch_model_info(
    const std::string& repo,
    const std::string& revision = "");

} // namespace mlx_audio::hub
