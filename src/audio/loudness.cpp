#include "audio/loudness.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlx_audio::audio {

double rms_dbfs(std::span<const float> samples) {
  double sum = 0;
  for (float x : samples) {
    sum += double{x} * x;
  }
  return sum > 0 ? 10 * std::log10(sum / static_cast<double>(samples.size()))
                 : -std::numeric_limits<double>::infinity();
}

float peak(std::span<const float> samples) {
  float largest = 0;
  for (float x : samples) {
    largest = std::max(largest, std::abs(x));
  }
  return largest;
}

} // namespace mlx_audio::audio
