// Loops over the one thread pool: OpenMP's, which oneDNN uses too.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels {

/// Threads that parallel_for may use.
int thread_count();

namespace detail {
using LoopBody = void (*)(const void* function, int64_t index);
void parallel_for(
    int64_t count,
    int64_t grain,
    LoopBody body,
    const void* function);
} // namespace detail

/// Calls function(i) for i in [0, count), `grain` consecutive ones at a time a
/// thread. Runs in the calling thread if there is one piece only, or if that
/// thread is itself inside a parallel loop.
template <class Function>
void parallel_for(int64_t count, int64_t grain, const Function& function) {
  detail::parallel_for(
      count,
      grain,
      [](const void* f, int64_t i) { (*static_cast<const Function*>(f))(i); },
      &function);
}

} // namespace mlx_audio::kernels
