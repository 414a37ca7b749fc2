// The excitation of Kokoro's generator (iSTFTNet, Kaneko et al. 2022), made
// from the pitch. All of it is f32 whatever the model's dtype.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/harmonic_source.h"
#include "nn/weights.h"

namespace mlx_audio::kokoro {

namespace mx = mlx::core;

class HarmonicSource {
 public:
  /// @param upsample samples per F0 value
  HarmonicSource(
      nn::Weights& weights,
      const std::string& path,
      int sample_rate,
      int upsample);

  /// f0 [batch, time] in Hz -> excitation [batch, time * upsample] in -1..1.
  /// Without a seed there is no noise.
  mx::array operator()(const mx::array& f0, std::optional<uint64_t> noise_seed)
      const;

 private:
  mx::array weight_; // [harmonics]
  mx::array bias_; // [1]
  kernels::HarmonicSourceOptions options_;
};

} // namespace mlx_audio::kokoro
