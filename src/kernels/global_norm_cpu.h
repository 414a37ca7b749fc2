// Global layer norm over plain arrays of f32, on all threads.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels {

/// y [rows, dim] = x normalized over all of it, times weight plus bias [dim].
/// With a skip [rows, dim], y = prelu(that + skip) with one slope.
void global_norm_cpu(
    const float* x,
    const float* weight,
    const float* bias,
    float eps,
    const float* skip,
    float slope,
    int64_t rows,
    int64_t dim,
    float* y);

} // namespace mlx_audio::kernels
