// Products of bf16 weights with many rows of x in the tiles of Intel's AMX.
//
// x becomes bf16: one number if it is of that type, the sum of two if 16-bit
// floats are fine enough, of three (all 24 bits) if not; products are exact,
// sums f32.
#pragma once

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

/// True if the weights are bf16, and the CPU and the instruction set that
/// kernels are held to allow it.
bool bf16_amx_runs(const GemmArgs& args);

void bf16_amx(const GemmArgs& args);

} // namespace mlx_audio::kernels
