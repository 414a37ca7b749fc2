// The CPU kernels of depthwise_conv1d.h, on plain f32 arrays.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels {

struct DepthwiseArguments {
  const float* x; // [time, channels]
  const float* weight; // [kernel, channels]
  const float* residual; // [time, channels] or null
  float* y; // [time, channels]
  int time;
  int channels;
  int kernel; // odd
  int64_t x_stride; // from row to row
  int64_t weight_stride;
  int64_t y_stride; // the residual's too
};

void depthwise_residual_conv1d_cpu(const DepthwiseArguments& arguments);

/// y = normalize(y v + input) by rows of `channels`, in place.
void gate_and_normalize_cpu(
    float* y,
    const float* v,
    const float* input,
    int time,
    int channels,
    float eps);

} // namespace mlx_audio::kernels
