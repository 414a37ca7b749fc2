// Causal convolutions that carry their past from call to call, so that a
// sequence may be fed in pieces of any length.
#pragma once

#include <optional>
#include <string>

#include "nn/layers.h"

namespace mlx_audio::codecs {

namespace mx = mlx::core;

/// `path.weight` of a convolution of one tap without bias, as a matrix.
nn::Linear pointwise(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out);

/// The inputs that a layer still needs; empty at the start of a sequence.
using Past = std::optional<mx::array>;

/// Zeros before the first input; the options have no padding.
/// `path.weight`, `path.bias`. With a stride, pieces are of whole strides, but
/// for the last one, which zeros fill up.
class CausalConv1d {
 public:
  CausalConv1d(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      int in,
      int out,
      int kernel,
      kernels::Conv1dOptions options = {});

  /// x [batch, time, in] -> [batch, time / stride, out], plus `residual` if
  /// given.
  mx::array operator()(
      const mx::array& x,
      Past& past,
      const std::optional<mx::array>& residual = std::nullopt) const;
  /// Of snake(x); the past is of x itself.
  mx::array operator()(
      const mx::array& x,
      const kernels::SnakeBeta& function,
      Past& past,
      const std::optional<mx::array>& residual = std::nullopt) const;

 private:
  nn::Conv1d conv_;
  int reach_; // inputs before the current ones
  int stride_;
};

/// The kernel is a multiple of the stride; the right end is cut, so that each
/// input gives `stride` outputs at once.
class CausalConvTranspose1d {
 public:
  CausalConvTranspose1d(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      int in,
      int out,
      int kernel,
      int stride,
      int groups = 1);

  mx::array operator()(const mx::array& x, Past& past) const;
  /// Of snake(x).
  mx::array operator()(
      const mx::array& x,
      const kernels::SnakeBeta& function,
      Past& past) const;

 private:
  nn::ConvTranspose1d conv_;
  int reach_;
};

} // namespace mlx_audio::codecs
