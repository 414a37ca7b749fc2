// CPU kernels behind stft.h, for one sequence.
#pragma once

namespace mlx_audio::kernels {

/// `basis` is [n_fft, 2 bins]: what sample n adds to each real and imaginary
/// part, window included. spectrum [1 + samples / hop, 2 bins].
void magnitude_phase_stft_cpu(
    const float* x,
    int samples,
    const float* basis,
    int n_fft,
    int hop,
    float* spectrum);

/// `basis` is [2 bins, n_fft]: what each real and imaginary part adds to sample
/// n, window included; `window` is [n_fft]. y [(frames - 1) hop].
void istft_from_log_cpu(
    const float* spectrum,
    int frames,
    const float* basis,
    const float* window,
    int n_fft,
    int hop,
    float* y);

} // namespace mlx_audio::kernels
