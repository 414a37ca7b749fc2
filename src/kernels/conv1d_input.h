// What the CPU's convolution kernels read and write.
#pragma once

#include "kernels/channel_map.h"

namespace mlx_audio::kernels {

struct ConvInput {
  const float* x; // [time, in]
  int time;
  int pad_left; // zeros before the first sample; zeros follow as needed
  int stride;
  int dilation;
  const ChannelMap* map; // of x while it is read (the zeros stay), or null
};

struct ConvOutput {
  float* y; // [time, out]; may be the residual itself
  int time;
  const float* residual; // [time, out] or null
  const float* bias; // [out]
};

} // namespace mlx_audio::kernels
