#include "models/vibevoice_asr/loudness.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mlx_audio::vibevoice_asr {

Loudness::Loudness(std::span<const float> samples, const Config& config) {
  if (!config.normalize || samples.empty()) {
    return;
  }
  double squares = 0;
  float peak = 0;
  for (float x : samples) {
    squares += static_cast<double>(x) * x;
    peak = std::max(peak, std::abs(x));
  }
  double rms = std::sqrt(squares / static_cast<double>(samples.size()));
  double eps = std::max(config.eps, 1e-12); // silence stays finite
  gain_ = static_cast<float>(std::pow(10, config.loudness / 20) / (rms + eps));
  float loudest = peak * gain_;
  if (loudest > 1) {
    peak_ = loudest + static_cast<float>(config.eps);
  }
}

std::vector<float> Loudness::apply(std::span<const float> samples) const {
  std::vector<float> out(samples.begin(), samples.end());
  for (float& x : out) {
    x = x * gain_ / peak_;
  }
  return out;
}

int64_t
quietest_cut(std::span<const float> samples, int sample_rate, double seconds) {
  auto size = static_cast<int64_t>(samples.size());
  auto window = std::max<int64_t>(1, sample_rate / 10);
  auto searched = static_cast<int64_t>(seconds * sample_rate);
  double least = std::numeric_limits<double>::infinity();
  int64_t cut = size;
  for (int64_t at = std::max<int64_t>(0, size - searched); at + window <= size;
       at += window) {
    double energy = 0;
    for (int64_t i = at; i < at + window; ++i) {
      double x = samples[static_cast<size_t>(i)];
      energy += x * x;
    }
    if (energy <= least) {
      least = energy;
      cut = at + window / 2;
    }
  }
  return cut;
}

} // namespace mlx_audio::vibevoice_asr
