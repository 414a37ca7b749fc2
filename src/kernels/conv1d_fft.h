// Convolution by short Fourier transforms (overlap-save), the CPU's fast path
// for kernels of three taps and more at full channel width.
//
// A tile of N samples is transformed per channel; each frequency then needs one
// matrix product over channels. In f32, with N = 32 and Gauss's three real
// products for a complex one, an output sample costs 47 / (N - kernel + 1)
// multiply-adds per pair of channels instead of `kernel`: 1.6 instead of 3, 1.8
// instead of 7, 2.1 instead of 11. Unlike Winograd's transforms the Fourier
// transform is orthogonal, so that no precision is lost. With bf16 pairs a pair
// is a complex number and its product takes four real ones (64 in place of 47),
// at twice the rate and with two thirds of the memory for weights.
#pragma once

#include "kernels/conv1d_input.h"
#include "kernels/panels.h"

namespace mlx_audio::kernels {

/// When a layer's transforms repay their cost.
enum class FftUse {
  never,
  always,
  long_sequences, ///< beside direct weights, for sequences that fill tiles
};

/// The transformed weights, packed for the matrix products.
class FftConv1dWeight {
 public:
  FftConv1dWeight(
      const PanelSource& source,
      int out,
      int kernel,
      int in,
      PanelType type);

  /// `long_sequences`: whether weights may be held twice for them.
  static FftUse
  use(int in, int out, int kernel, PanelType type, bool long_sequences);
  /// Whether so many outputs take well fewer products than taps do.
  bool saves(int time, int dilation) const;

  int in = 0;
  int out = 0;
  int kernel = 0;
  int size = 0; ///< N, samples a tile
  /// One matrix a product: 3 a frequency and 1 for each of the two real ones;
  /// or of complex pairs one a frequency, the first for both real ones.
  Panels panels;

  int products() const {
    return panels.type() == PanelType::bf16_pairs ? size / 2
                                                  : 3 * (size / 2 - 1) + 2;
  }
};

/// y[t] = bias + residual[t] + sum over taps j of W_j x[t + j dilation - pad].
/// The stride is 1.
void fft_conv1d(
    const FftConv1dWeight& weight,
    const ConvInput& input,
    const ConvOutput& output);

} // namespace mlx_audio::kernels
