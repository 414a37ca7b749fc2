// y = act(x W^T + b), for weights as a checkpoint stores them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// Weights of a linear layer: float (f32, bf16, f16) of shape [out, in], or
/// MLX-affine-quantized: `weight` uint32 [out, in * bits / 32] with `scales`
/// and `biases` [out, in / group_size].
struct LinearWeight {
  mx::array weight;
  std::optional<mx::array> bias = {}; // [out]
  std::optional<mx::array> scales = {};
  std::optional<mx::array> biases = {};
  int group_size = 0;
  int bits = 0;
  /// The layer's name in its checkpoint, for observers; several of layers that
  /// became one.
  std::vector<std::string> paths = {};

  bool quantized() const {
    return scales.has_value();
  }
  int out_features() const {
    return weight.shape(0);
  }
  int in_features() const {
    return quantized() ? weight.shape(1) * 32 / bits : weight.shape(1);
  }
};

/// Sees the inputs of linear() while it lives, in the thread that calls it: how
/// a quantization learns which inputs matter.
class ScopedLinearObserver {
 public:
  using Function =
      std::function<void(const LinearWeight& weight, const mx::array& x)>;
  explicit ScopedLinearObserver(Function function);
  ~ScopedLinearObserver();
  ScopedLinearObserver(const ScopedLinearObserver&) = delete;
  ScopedLinearObserver& operator=(const ScopedLinearObserver&) = delete;

 private:
  Function function_;
};

/// x [..., in] -> [..., out], in x's dtype. Sums are f32.
mx::array linear(
    const mx::array& x,
    const LinearWeight& weight,
    Activation activation = Activation::none);

} // namespace mlx_audio::kernels
