// What kernels do to rows of f32 around a product.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/float_type.h"
#include "kernels/gemm.h"

namespace mlx_audio::kernels {

void to_f32(FloatType type, const void* from, float* to, int64_t count);

/// y[row : row + rows, column : column + columns) of a product from its sums,
/// `stride` apart, which may be y itself: bias, activation, type.
void finish_block(
    const GemmArgs& args,
    const float* sums,
    int64_t stride,
    int64_t row,
    int64_t rows,
    int64_t column,
    int64_t columns);

/// y [rows, count] = act(y + bias) in place; bias may be null.
void finish_rows(
    float* y,
    int64_t stride,
    int64_t rows,
    int64_t count,
    const float* bias,
    Activation activation);

} // namespace mlx_audio::kernels
