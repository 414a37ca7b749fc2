// The next multiple, for padded rows and whole tiles.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels {

constexpr int64_t round_up(int64_t n, int64_t step) {
  return (n + step - 1) / step * step;
}

} // namespace mlx_audio::kernels
