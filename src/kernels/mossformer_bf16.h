// MossFormer2's two layers as one op each, for CPUs that multiply pairs of bf16
// (AVX-512 BF16): weights and what enters a matrix product are bf16, sums and
// everything else f32, and no intermediate leaves the caches that need not.
// Their definitions are the compositions of kernels/gated_attention.h,
// depthwise_conv1d.h and linear.h (models/mossformer2_se/network.cpp).
#pragma once

#include <memory>

#include "kernels/gated_attention.h"
#include "kernels/paired_weight.h"
#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// silu(linear(x)) plus its depthwise convolution.
struct PairedFeedForwardConv {
  PairedWeight linear; // [out, in]
  mx::array bias; // [out], f32
  mx::array conv; // [kernel, out], f32
};

struct PairedAttention {
  PairedFeedForwardConv to_hidden; // v | u | queries and keys
  PairedFeedForwardConv to_out;
  mx::array gamma; // [4, dim], f32
  mx::array beta;
  GatedAttentionOptions options;
};

/// Whether the sizes are whole numbers of vectors.
bool paired_attention_takes(const PairedAttention& layer);

/// x [time, channels] -> x plus the layer's result, f32: shift_scale_norm,
/// to_hidden, gated_attention, to_out.
mx::array paired_attention(
    const mx::array& x,
    const mx::array& rotary, // [time, 2 pairs]
    const std::shared_ptr<const PairedAttention>& layer);

struct PairedFsmn {
  PairedWeight conv1; // [inner, channels]
  mx::array conv1_bias;
  mx::array slope; // [1]
  mx::array norm_weight; // [inner]
  mx::array norm_bias;
  PairedFeedForwardConv to_uv; // u | v
  PairedWeight linear;
  mx::array linear_bias;
  PairedWeight project;
  mx::array memory; // [kernel, inner]
  PairedWeight conv2;
  mx::array conv2_bias; // [channels]
  float eps;
};

bool paired_fsmn_takes(const PairedFsmn& layer);

/// x [time, channels] -> x plus the layer's result, f32: conv1,
/// prelu_layer_norm, to_u and to_v, linear (ReLU) and project of u, fsmn_gate,
/// conv2.
mx::array paired_fsmn(
    const mx::array& x,
    const std::shared_ptr<const PairedFsmn>& layer);

} // namespace mlx_audio::kernels
