// What kernels do to rows of f32 around a product.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/float_type.h"

namespace mlx_audio::kernels {

void to_f32(FloatType type, const void* from, float* to, int64_t count);

/// y [rows, count] = act(y + bias) in place; bias may be null.
void finish_rows(
    float* y,
    int64_t stride,
    int64_t rows,
    int64_t count,
    const float* bias,
    Activation activation);

} // namespace mlx_audio::kernels
