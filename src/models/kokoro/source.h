// The harmonic source of the neural source-filter model (Wang et al. 2019) and
// the short-time Fourier transforms around Kokoro's generator (iSTFTNet, Kaneko
// et al. 2022). All of it is f32 whatever the model's dtype: phases are large.
#pragma once

#include <cstdint>
#include <optional>

#include "nn/layers.h"

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
  nn::Linear merge_;
  int sample_rate_;
  int upsample_;
};

/// x [batch, samples] -> [batch, 1 + samples / hop, 2 (n_fft / 2 + 1)]:
/// magnitudes, then phases; periodic Hann window, centred with reflection.
mx::array magnitude_phase_stft(const mx::array& x, int n_fft, int hop);

/// spectrum [batch, frames, 2 (n_fft / 2 + 1)] of log magnitudes, then phases'
/// arcs -> samples [batch, (frames - 1) hop].
mx::array istft_from_log(const mx::array& spectrum, int n_fft, int hop);

} // namespace mlx_audio::kokoro
