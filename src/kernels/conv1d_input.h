// What the CPU's convolution kernels read and write.
#pragma once

#include <cstddef>

#include "kernels/channel_map.h"

namespace mlx_audio::kernels {

struct ConvInput {
  const float* x; // [time, in]
  int time;
  int pad_left; // rows before the first of x that the first output reads
  int stride;
  int dilation;
  const ChannelMap* map; // of x while it is read (the zeros stay), or null
  const float* past = nullptr; // [past_time, in], the rows before x
  int past_time = 0;

  /// Row `at`, counted from the first of x; null where there are only zeros.
  const float* row(int at, size_t in) const {
    if (at >= 0) {
      return at < time ? x + static_cast<size_t>(at) * in : nullptr;
    }
    return at >= -past_time ? past + static_cast<size_t>(past_time + at) * in
                            : nullptr;
  }
};

struct ConvOutput {
  float* y; // [time, out]; may be the residual itself
  int time;
  const float* residual; // [time, out] or null
  const float* bias; // [out]
};

} // namespace mlx_audio::kernels
