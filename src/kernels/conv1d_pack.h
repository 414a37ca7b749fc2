// Convolution weights in the forms that the CPU's kernels read.
#pragma once

#include <memory>
#include <vector>

#include "kernels/conv1d.h"
#include "kernels/conv1d_direct.h"
#include "kernels/conv1d_fft.h"

namespace mlx_audio::kernels {

class PackedConv1d {
 public:
  std::vector<float> bias; // [out], zeros if the layer has none
  // One of them, or both of the first two.
  std::unique_ptr<FftConv1dWeight> fft;
  std::unique_ptr<DirectConv1dWeight> direct;
  std::vector<float> depthwise; // [kernel, channels]

  /// Whether `fft` is the faster one for so many outputs, or the only one.
  bool transforms(int time, int dilation) const {
    return fft != nullptr && (direct == nullptr || fft->saves(time, dilation));
  }
};

/// `axes` brings the stored axes into our order [out, kernel, in / groups].
std::shared_ptr<const PackedConv1d> pack_conv1d(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const Conv1dOptions& options);

/// As a plain convolution of ceil(kernel / stride) taps whose rows hold
/// `stride` samples each: sample t stride + p is a convolution of its own for
/// each phase p.
std::shared_ptr<const PackedConv1d> pack_conv_transpose1d(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const ConvTranspose1dOptions& options);

} // namespace mlx_audio::kernels
