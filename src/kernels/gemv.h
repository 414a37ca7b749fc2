// Products with few rows of x in two parts, for callers that have threads of
// their own: x is put once into the form that the weights are multiplied with,
// then any rows of W are taken.
#pragma once

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

/// Floats that `m` rows of x take in that form.
int64_t gemv_floats(const WeightMatrix& w, int64_t m);

/// x [m, columns] of `type` -> `prepared`, 64-byte aligned.
void gemv_prepare(
    const WeightMatrix& w,
    FloatType type,
    const void* x,
    int64_t m,
    float* prepared);

/// True if x prepared for `a` serves `b` too.
bool gemv_shares(const WeightMatrix& a, const WeightMatrix& b);

/// y[i, r - row] = x[i] . W[r] for r in [row, row + count).
void gemv_rows(
    const WeightMatrix& w,
    const float* prepared,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride);

/// y [columns] = row `row` of W.
void unpack_row(const WeightMatrix& w, int64_t row, float* y);

} // namespace mlx_audio::kernels
