#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

/// Largest |a - b| over the largest |b|; infinite if any element of a is not
/// finite where b is, or shapes differ.
inline float relative_error(
    const mlx::core::array& a,
    const mlx::core::array& b) {
  namespace mx = mlx::core;
  if (a.shape() != b.shape()) {
    return std::numeric_limits<float>::infinity();
  }
  auto fa = mx::contiguous(mx::astype(a, mx::float32));
  auto fb = mx::contiguous(mx::astype(b, mx::float32));
  mx::eval(fa, fb);
  float top = 1e-30f;
  float worst = 0;
  for (size_t i = 0; i < fa.size(); ++i) {
    float difference = std::abs(fa.data<float>()[i] - fb.data<float>()[i]);
    if (!std::isfinite(difference)) {
      return std::numeric_limits<float>::infinity();
    }
    worst = std::max(worst, difference);
    top = std::max(top, std::abs(fb.data<float>()[i]));
  }
  return worst / top;
}

} // namespace mlx_audio::kernels
