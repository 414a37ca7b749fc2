// CPU kernels of rms_norm and add_scaled; f32.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels {

/// y = x / rms(x) * weight of each row; y may be x.
void rms_norm_cpu(
    const float* x, // [rows, dim]
    const float* weight, // [dim]
    float eps,
    int64_t rows,
    int64_t dim,
    float* y);

/// y = x + branch * scale of each row; y may be x or branch.
void add_scaled_cpu(
    const float* x, // [rows, dim]
    const float* branch, // [rows, dim]
    const float* scale, // [dim]
    int64_t rows,
    int64_t dim,
    float* y);

} // namespace mlx_audio::kernels
