// Vectorised functions over plain arrays, for kernels and tests.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace mlx_audio::kernels {

enum class Pointwise {
  exp,
  tanh,
  sigmoid,
  erf,
  sin,
  cos,
  sin_squared,
  relu,
  gelu,
  gelu_tanh,
  silu,
  silu_for_bf16,
};

/// y[i] = function(x[i]); y may be x.
void pointwise(Pointwise function, const float* x, float* y, int64_t count);

} // namespace mlx_audio::kernels
