// Convolution by short Fourier transforms (overlap-save), the CPU's fast path
// for kernels of three taps and more at full channel width.
//
// A tile of N samples is transformed per channel; each frequency then needs one
// matrix product over channels. With N = 32 and Gauss's three real products for
// a complex one, an output sample costs 47 / (N - kernel + 1) multiply-adds per
// pair of channels instead of `kernel`: 1.6 instead of 3, 1.8 instead of 7, 2.1
// instead of 11. Everything is f32, and unlike Winograd's transforms the
// Fourier transform is orthogonal, so that no precision is lost.
#pragma once

#include "kernels/panels.h"

namespace mlx_audio::kernels {

/// The transformed weights, packed for the matrix products.
class FftConv1dWeight {
 public:
  FftConv1dWeight(
      const PanelSource& source,
      int out,
      int kernel,
      int in,
      bool half);

  /// Whether the transforms' cost is repaid, and the shape is supported.
  static bool worthwhile(int in, int out, int kernel);

  int in = 0;
  int out = 0;
  int kernel = 0;
  int size = 0; ///< N, samples a tile
  Panels panels; ///< one matrix a product

  int products() const { // 3 a frequency, 1 for each of the two real ones
    return 3 * (size / 2 - 1) + 2;
  }
};

struct FftConvInput {
  const float* x; // [time, in]
  int time;
  int pad_left; // zeros before the first sample; zeros follow as needed
  int dilation;
};

struct FftConvOutput {
  float* y; // [time, out]
  int time;
  const float* residual; // [time, out] or null
  const float* bias; // [out]
};

/// y[t] = bias + residual[t] + sum over taps j of W_j x[t + j dilation - pad].
void fft_conv1d(
    const FftConv1dWeight& weight,
    const FftConvInput& input,
    const FftConvOutput& output);

} // namespace mlx_audio::kernels
