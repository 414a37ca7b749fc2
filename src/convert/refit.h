#pragma once

#include <optional>
#include <vector>

#include "convert/quantize.h"
#include "mlx/mlx.h"

namespace mlx_audio::convert {

/// The factor R of a layer's inputs, H = R R^T with R upper triangular, from
/// the mean H of x x^T, as its transpose [in, in]. H is damped, as some inputs
/// hardly vary.
std::vector<float> input_factor(const std::vector<float>& moments, int64_t in);

/// Makes the error of affine-packed rows smaller, at the same size. Each
/// group's codes and the line (scale, bias) through them are fitted in turn, by
/// rounding and by least squares (alternating minimization: Xu et al.,
/// "Alternating Multi-bit Quantization for Recurrent Neural Networks", ICLR
/// 2018, section 3), from MLX's line and from narrower ranges; the best is
/// kept.
///
/// With a factor of the inputs the error of the layer's outputs is what counts:
/// each column's error is made up for in the columns after it (Frantar et al.,
/// "GPTQ", ICLR 2023; here as successive rounding against R, Chen et al., "The
/// Geometry of LLM Quantization", 2025, which needs no inverse).
/// @param w [rows, columns], float
/// @param parts {packed, scales, biases} of mx::quantize(w)
/// @param factor of input_factor(), or null: all inputs count alike
void refit(
    const mlx::core::array& w,
    std::vector<mlx::core::array>& parts,
    const Packing& packing,
    const std::vector<float>* factor = nullptr);

} // namespace mlx_audio::convert
