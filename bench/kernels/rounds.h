#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace mlx_audio::kernels {

template <class Round>
double seconds_of(const Round& round) {
  auto start = std::chrono::steady_clock::now();
  round();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

/// Seconds of the fastest of at least three rounds and `seconds` of them,
/// after one that packs and warms.
template <class Round>
double best_of(double seconds, const Round& round) {
  round();
  double best = std::numeric_limits<double>::max();
  double sum = 0;
  for (int i = 0; i < 3 || sum < seconds; ++i) {
    double took = seconds_of(round);
    best = std::min(best, took);
    sum += took;
  }
  return best;
}

} // namespace mlx_audio::kernels
