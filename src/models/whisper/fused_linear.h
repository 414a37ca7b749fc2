#pragma once

#include <vector>

#include "nn/layers.h"

namespace mlx_audio::whisper {

namespace mx = mlx::core;

/// Several linear layers of one input, whose outputs lie side by side. Layers
/// that are stored alike are one product; mixed recipes of quantization give
/// some of them other bits.
class FusedLinear {
 public:
  /// Layers without a bias get one of zeros (Whisper's keys have none).
  explicit FusedLinear(const std::vector<kernels::LinearWeight>& layers);

  mx::array operator()(const mx::array& x) const; // [..., in] -> [..., out]

  /// All layers as one: as they are stored if that is the same for all, else
  /// dequantized.
  kernels::LinearWeight joined() const;

 private:
  std::vector<nn::Linear> parts_; // neighbours differ in storage
};

} // namespace mlx_audio::whisper
