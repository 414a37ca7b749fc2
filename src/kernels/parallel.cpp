#include "kernels/parallel.h"

#include <algorithm>

#include <omp.h>

namespace mlx_audio::kernels {

int thread_count() {
  return omp_in_parallel() != 0 ? 1 : omp_get_max_threads();
}

namespace detail {

void parallel_for(
    int64_t count,
    int64_t grain,
    LoopBody body,
    const void* function) {
  grain = std::max<int64_t>(grain, 1);
  int64_t pieces = (count + grain - 1) / grain;
  int threads = static_cast<int>(std::min<int64_t>(thread_count(), pieces));
  if (threads <= 1) {
    for (int64_t i = 0; i < count; ++i) {
      body(function, i);
    }
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    int64_t end = std::min(count, (piece + 1) * grain);
    for (int64_t i = piece * grain; i < end; ++i) {
      body(function, i);
    }
  }
}

} // namespace detail
} // namespace mlx_audio::kernels
