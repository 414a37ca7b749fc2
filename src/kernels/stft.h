// The short-time Fourier transforms around iSTFTNet's generator (Kaneko et al.
// 2022), with a periodic Hann window. f32: phases are large.
#pragma once

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// x [batch, samples] -> [batch, 1 + samples / hop, 2 (n_fft / 2 + 1)]:
/// magnitudes, then phases; frames are centred, with reflection at the ends.
mx::array magnitude_phase_stft(const mx::array& x, int n_fft, int hop);

/// spectrum [batch, frames, 2 (n_fft / 2 + 1)] of log magnitudes, then
/// numbers whose sines are the phases -> samples [batch, (frames - 1) hop].
mx::array istft_from_log(const mx::array& spectrum, int n_fft, int hop);

} // namespace mlx_audio::kernels
