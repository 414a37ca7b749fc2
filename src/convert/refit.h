#pragma once

#include <vector>

#include "convert/quantize.h"
#include "mlx/mlx.h"

namespace mlx_audio::convert {

/// Makes the squared error of affine-packed rows smaller, at the same size:
/// codes and the line (scale, bias) through them are fitted in turn, by
/// rounding and by least squares (alternating minimization: Xu et al.,
/// "Alternating Multi-bit Quantization for Recurrent Neural Networks", ICLR
/// 2018, section 3), from MLX's range and from narrower ones. Each group keeps
/// the best, MLX's own if none is better.
/// @param w [rows, columns], float
/// @param parts {packed, scales, biases} of mx::quantize(w)
void refit(
    const mlx::core::array& w,
    std::vector<mlx::core::array>& parts,
    const Packing& packing);

} // namespace mlx_audio::convert
