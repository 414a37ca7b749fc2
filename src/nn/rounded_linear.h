// A linear layer for places that bear 16-bit activations.
#pragma once

#include <memory>
#include <optional>

#include "kernels/packed.h"
#include "nn/layers.h"

namespace mlx_audio::nn {

/// As Linear; but where the weights are bf16 and the CPU multiplies such pairs,
/// activations are rounded to bf16 too, which is several times faster. Sums and
/// results are f32 there.
class RoundedLinear {
 public:
  explicit RoundedLinear(Linear linear);

  mx::array operator()(
      const mx::array& x, // [..., in]
      Activation activation = Activation::none) const;

 private:
  std::optional<Linear> linear_; // or
  std::shared_ptr<const kernels::PackedLinear> packed_;
};

} // namespace mlx_audio::nn
