// Products of MLX-affine weights with few rows of x by the 8-bit dot products
// of AVX-512 (VNNI), for CPUs that have them.
//
// x becomes whole numbers, one scale a group: 20 bits in three signed bytes
// (127 * 2^12 at most, so half a step is 1e-6 of the group's largest value,
// what f32 sums round to anyway). Weights are unsigned whole numbers already,
// so that products and sums over a group are exact, and a vector multiplies 64
// values instead of 16.
#pragma once

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

/// True if the CPU and the instruction set that kernels are held to allow it.
bool affine_vnni_runs();

/// Floats that `m` rows of x take in the form that the weights are multiplied
/// with; `affine_vnni_split` fills them.
int64_t affine_vnni_floats(const WeightMatrix& w, int64_t m);
void affine_vnni_split(
    const WeightMatrix& w,
    const float* x, // [m, columns]
    int64_t m,
    float* split); // 64-byte aligned

/// y[i, r - row] = x[i] . W[r] for r in [row, row + count).
void affine_vnni_rows(
    const WeightMatrix& w,
    const float* split,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride);

} // namespace mlx_audio::kernels
