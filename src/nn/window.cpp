#include "nn/window.h"

#include <limits>

namespace mlx_audio::nn {

std::optional<mx::array> window_bias(int steps, int keys, int window) {
  if (window == 0 || keys <= window) {
    return std::nullopt;
  }
  auto query = mx::reshape(mx::arange(keys - steps, keys), {steps, 1});
  auto key = mx::reshape(mx::arange(0, keys), {1, keys});
  auto distance = query - key;
  auto seen = mx::logical_and(
      mx::greater_equal(distance, mx::array(0)),
      mx::less(distance, mx::array(window)));
  return mx::where(
      seen,
      mx::array(0.0f),
      mx::array(-std::numeric_limits<float>::infinity()));
}

} // namespace mlx_audio::nn
