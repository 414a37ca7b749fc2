// The harmonic source of the neural source-filter model (Wang et al. 2019).
#pragma once

#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

struct HarmonicSourceOptions {
  int sample_rate = 24000; // Hz
  int upsample = 300; // samples per value of f0
  float amplitude = 0.1f; // of a sine
  float voiced_threshold = 10.0f; // Hz; no sines at or below it
  float voiced_noise = 0.003f; // standard deviation of each harmonic's noise
  float unvoiced_noise = 0.1f / 3;
};

/// f0 [batch, time] in Hz -> excitation [batch, time * upsample] in -1..1:
/// tanh of `bias` [1] plus the sines of f0 and its multiples, weighted by
/// `weight` [harmonics].
///
/// `noise` [batch, time * upsample], standard normal, stands for the noise that
/// upstream gives each harmonic of its own: weighted sums of normal numbers are
/// one normal number. Absent: none.
///
/// Upstream sums the phase at f0's rate and interpolates it linearly between
/// the middles of f0's intervals. Its random initial phases never reach the sum
/// (they are added to a sample that interpolation skips), so there are none
/// here. Phases are kept in cycles and wrapped, so that any length is exact.
mx::array harmonic_source(
    const mx::array& f0,
    const mx::array& weight,
    const mx::array& bias,
    const std::optional<mx::array>& noise,
    const HarmonicSourceOptions& options = {});

} // namespace mlx_audio::kernels
