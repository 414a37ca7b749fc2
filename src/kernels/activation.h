// Pointwise functions that ops can fuse.
#pragma once

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

enum class Activation {
  none,
  relu,
  gelu, ///< exact: x * (1 + erf(x / sqrt 2)) / 2
  gelu_tanh, ///< BERT's "gelu_new"
  silu,
};

/// [any] -> [same], as MLX ops.
mx::array activate(const mx::array& x, Activation activation);

/// [..., 2 n] -> [..., n], f32: tanh of the first half times sigmoid of the
/// second.
mx::array tanh_gate(const mx::array& x);

} // namespace mlx_audio::kernels
