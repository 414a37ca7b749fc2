// Convolution as one matrix product a tap, for the shapes that the Fourier
// kernel is not made for: pointwise, strided, very wide or narrow, short.
#pragma once

#include "kernels/conv1d_input.h"
#include "kernels/panels.h"

namespace mlx_audio::kernels {

struct DirectConv1dWeight {
  DirectConv1dWeight(
      const PanelSource& source,
      int out,
      int kernel,
      int in,
      PanelType type);

  int in;
  int out;
  int kernel;
  /// A matrix a tap; or, where `in` is small and the products would be shallow,
  /// one matrix over all taps, which are then copied side by side.
  Panels panels;
  bool joined;
};

/// y[t] = bias + residual[t] + sum over taps j of
/// W_j x[t stride + j dilation - pad].
void direct_conv1d(
    const DirectConv1dWeight& weight,
    const ConvInput& input,
    const ConvOutput& output);

} // namespace mlx_audio::kernels
