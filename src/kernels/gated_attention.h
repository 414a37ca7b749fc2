// The joint attention of MossFormer (Zhao & Ma 2023, after FLASH, Hua et al.
// 2022) and the norms around it.
#pragma once

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// ScaleNorm (Nguyen & Salazar 2019) without its gain, after a token shift: the
/// first half of the channels comes from the row before (zeros at the start).
///   x [time, dim] -> row / max(|row| / sqrt(dim), eps) [time, dim], f32.
mx::array shift_scale_norm(const mx::array& x, float eps);

struct PreluNorm {
  mx::array normed; // [time, dim], LayerNorm with weight and bias
  mx::array again; // [time, dim], `normed` to zero mean and unit variance
};

/// PReLU with one slope [1], LayerNorm, and the statistics part of a second
/// LayerNorm, over the rows of x [time, dim]; f32.
PreluNorm prelu_layer_norm(
    const mx::array& x,
    const mx::array& slope,
    const mx::array& weight,
    const mx::array& bias,
    float eps);

struct GatedAttentionOptions {
  int value_dim; ///< channels of v and of u
  int group = 256; ///< frames that attend to each other in full
  float eps = 1e-5f; ///< of the ScaleNorm at the end
};

/// hidden [time, 2 value_dim + dim] = v | u | s. Four views a_i = gamma_i s +
/// beta_i (gamma, beta [4, dim]), rotated by `rotary`, are the queries and keys
/// of full attention inside groups and of linear attention over all:
///   A = relu(a0 a2^T / group)^2 per group, att(z) = A z + a1 (a3^T z) / time,
///   out = att(u) v sigmoid(att(v) u), then ScaleNorm without its gain.
/// rotary [time, 2 pairs]: cosines, then sines, of adjacent channel pairs; the
/// channels beyond 2 pairs stay. -> [time, value_dim], f32.
mx::array gated_attention(
    const mx::array& hidden,
    const mx::array& gamma,
    const mx::array& beta,
    const mx::array& rotary,
    const GatedAttentionOptions& options);

} // namespace mlx_audio::kernels
