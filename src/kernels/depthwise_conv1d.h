// Depthwise convolution with the input added back, as conformer-like blocks and
// FSMN memories use it.
#pragma once

#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// y[t] = x[t] + sum_k weight[k] x[t + k - kernel / 2] + residual[t], channel
/// by channel; x is zero beyond its ends.
/// x and residual [time, channels], weight [kernel, channels] with an odd
/// kernel -> [time, channels], f32.
mx::array depthwise_residual_conv1d(
    const mx::array& x,
    const mx::array& weight,
    const std::optional<mx::array>& residual = std::nullopt);

/// The end of a gated FSMN (Zhao et al. 2024, "MossFormer2"): with the memory
/// m = depthwise_residual_conv1d(projected, weight),
///   y = (u + m) v + input, then each row to zero mean and unit variance.
/// All [time, channels], weight [kernel, channels], f32.
mx::array fsmn_gate(
    const mx::array& projected,
    const mx::array& weight,
    const mx::array& u,
    const mx::array& v,
    const mx::array& input,
    float eps);

} // namespace mlx_audio::kernels
