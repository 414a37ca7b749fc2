// Convolution as one matrix product a tap, for the shapes that the Fourier
// kernel is not made for: pointwise, strided, very wide or narrow.
#pragma once

#include "kernels/panels.h"

namespace mlx_audio::kernels {

struct DirectConv1dWeight {
  DirectConv1dWeight(
      const PanelSource& source,
      int out,
      int kernel,
      int in,
      bool half);

  int in;
  int out;
  int kernel;
  /// A matrix a tap; or, where `in` is small and the products would be shallow,
  /// one matrix over all taps, which are then copied side by side.
  Panels panels;
  bool joined;
};

/// y [time_out, out] += convolution of x [.., in], which has room for every
/// tap: tap j of output t is x[t stride + j dilation].
void direct_conv1d(
    const DirectConv1dWeight& weight,
    const float* x,
    int stride,
    int dilation,
    float* y,
    int time_out);

} // namespace mlx_audio::kernels
