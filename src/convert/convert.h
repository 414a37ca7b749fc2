// Any known checkpoint in, a folder as mlx-community has it out.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "convert/quantize.h"

namespace mlx_audio::convert {

struct ConvertOptions {
  /// A folder or a file.
  std::string source;
  /// The folder to make; it must not exist, or be empty.
  std::string output;
  /// Type of the float tensors: float16, bfloat16 or float32. Empty: what
  /// config.json says (torch_dtype), else as in the source.
  std::optional<checkpoint::DType> dtype;
  /// How to quantize; empty: do not.
  std::optional<QuantizeOptions> quantize;
  /// With quantize->refit: recordings for a recognizer to hear, and the folder
  /// of a Kokoro that speaks if there are none; see calibrate().
  std::vector<std::string> calibration_audio;
  std::string calibration_speaker;
  /// Turn packed layers into float ones.
  bool dequantize = false;
  /// Only plan: nothing is written.
  bool dry_run = false;
  /// Largest shard in bytes.
  uint64_t shard_bytes = 5'000'000'000;
  /// Called with bytes written and their sum.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

struct ConvertReport {
  std::string model_type;
  std::string format; ///< what the source was
  std::string calibration; ///< what the model was run on; empty: it was not
  std::vector<LayerReport> layers; ///< all tensors, or their layer
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
  uint64_t parameters = 0;

  double bits_per_weight() const {
    return parameters == 0 ? 0
                           : 8 * static_cast<double>(bytes_after) /
            static_cast<double>(parameters);
  }
};

/// Converts, or plans. Nothing is at `output` until all of it is written.
ConvertReport convert(const ConvertOptions& options);

} // namespace mlx_audio::convert
