// The CPU kernels of gated_attention.h, on plain row-major f32 arrays.
#pragma once

namespace mlx_audio::kernels {

void shift_scale_norm_cpu(
    const float* x, // [time, dim]
    float* y,
    int time,
    int dim,
    float eps);

void prelu_layer_norm_cpu(
    const float* x, // [time, dim]
    float slope,
    const float* weight, // [dim]
    const float* bias,
    float* normed, // [time, dim]
    float* again, // [time, dim]
    int time,
    int dim,
    float eps);

struct GatedAttentionArguments {
  const float* hidden; // [time, 2 value_dim + dim]
  const float* gamma; // [4, dim]
  const float* beta;
  const float* rotary; // [time, 2 pairs]
  float* out; // [time, value_dim]
  int time;
  int value_dim;
  int dim;
  int pairs;
  int group;
  float eps;
};

void gated_attention_cpu(const GatedAttentionArguments& arguments);

} // namespace mlx_audio::kernels
