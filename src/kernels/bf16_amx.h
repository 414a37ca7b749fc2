// Products of bf16 weights with many rows of x in the tiles of Intel's AMX.
//
// Affine weights are rounded to bf16 where x is bf16 itself, as MLX does on
// GPUs; the result is rounded as coarsely. x becomes bf16: one number if it is
// of that type, the sum of two if 16-bit floats are fine enough, of three (all
// 24 bits) if not. Products are exact, sums f32.
#pragma once

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

/// True if the weights are bf16, or affine and both x bf16 and its rows enough,
/// and the CPU and the instruction set that kernels are held to allow it.
bool bf16_amx_runs(const GemmArgs& args);

void bf16_amx(const GemmArgs& args);

} // namespace mlx_audio::kernels
