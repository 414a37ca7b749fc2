// What tests share: where the imported models lie, and how audio is compared.
#pragma once

#include <string>
#include <utility>

#include "mlx/mlx.h"

namespace mlx_audio::testing {

/// Folder of an imported model (`scripts/import-models`); fails loudly if it is
/// not there, since a test must not pass by skipping.
std::string model_folder(const std::string& name);

/// Mean absolute difference and correlation of log10 mels (n_fft 1024, hop 256,
/// 80 HTK bands, no centring) of samples at 24 kHz and a stored mel
/// [frames, 80].
std::pair<double, double> log_mel_to_golden(
    const mlx::core::array& samples,
    const mlx::core::array& mel);

/// Mean absolute difference of the log10 mels of two sequences, over the length
/// of the shorter.
double log_mel_distance(const mlx::core::array& a, const mlx::core::array& b);

} // namespace mlx_audio::testing
