// Products of MLX-affine weights with many rows of x by the 8-bit dot products
// of AVX-512, four times as fast as those of f32.
//
// x becomes whole numbers as in kernels/affine_vnni.h: f32 in three signed
// bytes (1e-6 of a group's largest value), 16-bit floats in two (1.6e-5 of it,
// far below their own rounding). Weights are whole numbers already, so that
// sums over a group are exact.
#pragma once

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

/// True if the CPU and the instruction set that kernels are held to allow it.
bool affine_gemm_runs(const WeightMatrix& w);

void affine_gemm(const GemmArgs& args);

} // namespace mlx_audio::kernels
