#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mlx_audio::nn {

std::vector<double> rope_frequencies(
    int dim,
    double theta,
    const std::optional<RopeScaling>& scaling /* = std::nullopt */) {
  std::vector<double> frequencies;
  for (int i = 0; i < dim / 2; ++i) {
    double frequency = std::pow(theta, -2.0 * i / dim);
    if (scaling) {
      double turns = scaling->context * frequency / (2 * std::numbers::pi);
      double kept = std::clamp(
          (turns - scaling->low) / (scaling->high - scaling->low), 0.0, 1.0);
      frequency *= kept + (1 - kept) / scaling->factor;
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

} // namespace mlx_audio::nn
