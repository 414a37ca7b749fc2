// Products of MLX-affine weights with many rows of x in the tiles of Intel's
// AMX.
//
// x becomes bf16: the sum of two if 16-bit floats are fine enough, of three
// (all 24 bits) if not; where it is bf16, bf16_amx.h is faster. Weights are
// whole numbers of 8 bits at most, which bf16 holds, so that products are
// exact; sums over a group are f32.
#pragma once

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

/// True if W is affine, x finer than bf16 and its rows enough, and the CPU and
/// the instruction set that kernels are held to allow it.
bool affine_amx_runs(const GemmArgs& args);

void affine_amx(const GemmArgs& args);

} // namespace mlx_audio::kernels
