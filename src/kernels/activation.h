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

} // namespace mlx_audio::kernels
