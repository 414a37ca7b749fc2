// MLX's CPU backend sends f32 matmuls and convolutions to the `cblas_sgemm` of
// whatever BLAS it finds; the one in its wheels is the unoptimized reference.
// This library exports a `cblas_sgemm` over oneDNN, which the loader finds
// first: libmlx_audio.so is nearer to the program than libmlx's own BLAS.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels {

/// How many products our cblas_sgemm has answered in this process.
int64_t sgemm_calls();

} // namespace mlx_audio::kernels
