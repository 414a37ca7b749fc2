// What the machine's memory gives, for lines that say how near a kernel comes.
#pragma once

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "kernels/parallel.h"
#include "kernels/rounds.h"

namespace mlx_audio::kernels {

/// Reads all of `data`, on all threads.
inline void read_all(const std::vector<float>& data) {
  constexpr int64_t pieces = 64;
  auto piece = static_cast<int64_t>(data.size()) / pieces;
  parallel_for(pieces, 1, [&](int64_t i) {
    float sums[64] = {};
    const float* p = data.data() + i * piece;
    for (int64_t j = 0; j < piece; j += 64) {
      for (int l = 0; l < 64; ++l) {
        sums[l] += p[j + l];
      }
    }
    benchmark::DoNotOptimize(sums);
  });
}

/// GB/s that memory is read at.
inline double read_bandwidth() {
  std::vector<float> data(64 << 20, 1.0f);
  return 4e-9 * static_cast<double>(data.size()) /
      best_of(0.3, [&] { read_all(data); });
}

} // namespace mlx_audio::kernels
