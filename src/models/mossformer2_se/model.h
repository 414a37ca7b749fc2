// A loaded MossFormer2 SE model: one window of one channel in, the same out.
#pragma once

#include <random>
#include <span>
#include <string>
#include <vector>

#include "models/mossformer2_se/frontend.h"
#include "models/mossformer2_se/network.h"

namespace mlx_audio::mossformer2_se {

class Model {
 public:
  /// @param dtype as EnhancerOptions::dtype.
  static Model load(const std::string& folder, const std::string& dtype);

  const Config& config() const {
    return config_;
  }

  struct Noise {
    float amplitude = 0; ///< in 16-bit steps
    std::mt19937_64 generator = {};
  };

  /// Enhances x (any length but 0), at config().sample_rate.
  std::vector<float>
  enhance(std::span<const float> x, Noise& noise, Frontend::Ends ends) const;

  /// The network's intermediates for x, "fbank" among them.
  Taps taps(std::span<const float> x) const;

 private:
  Model(const Config& config, nn::Weights& weights, mx::Dtype dtype)
      : config_(config), frontend_(config), network_(weights, config, dtype) {}

  Config config_;
  Frontend frontend_;
  MaskNet network_;
};

} // namespace mlx_audio::mossformer2_se
