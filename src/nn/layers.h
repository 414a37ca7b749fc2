// Layers made from a checkpoint's tensors: each takes what it needs from
// Weights by path and is then a function of arrays. Sequences are
// [batch, time, channels].
#pragma once

#include <string>

#include "kernels/conv1d.h"
#include "kernels/linear.h"
#include "kernels/lstm.h"
#include "kernels/norm.h"
#include "nn/weights.h"

namespace mlx_audio::nn {

using kernels::Activation;
using kernels::ConvLayout;

/// A matrix of mxfp4, nvfp4 or mxfp8 in bfloat16, which holds their values
/// exactly: kernels multiply affine weights only.
mx::array unpack_small_floats(
    const mx::array& packed, // uint32 [rows, columns * bits / 32]
    const mx::array& scales, // uint8 [rows, columns / group]
    const Quantization& quantization,
    const std::string& path); // for errors

/// `path.weight` [out, in] (float or quantized) and `path.bias` [out] if
/// the checkpoint has it.
class Linear {
 public:
  Linear(Weights& weights, const std::string& path, int in, int out);
  explicit Linear(kernels::LinearWeight weight) : weight_(std::move(weight)) {}

  mx::array operator()(
      const mx::array& x, // [..., in]
      Activation activation = Activation::none) const {
    return kernels::linear(x, weight_, activation);
  }

  const kernels::LinearWeight& weight() const {
    return weight_;
  }

 private:
  kernels::LinearWeight weight_;
};

/// `path.weight` [count, dim], float or quantized.
class Embedding {
 public:
  Embedding(Weights& weights, const std::string& path, int count, int dim);

  mx::array operator()(const mx::array& ids) const; // [...] -> [..., dim]

  /// x [..., dim] times the table's transpose -> [..., count] (tied logits).
  mx::array as_linear(const mx::array& x) const {
    return kernels::linear(x, table_);
  }
  const kernels::LinearWeight& table() const {
    return table_;
  }

 private:
  kernels::LinearWeight table_;
};

/// `path.weight` and `path.bias` [dim]; either may be absent if `affine` is
/// false.
class LayerNorm {
 public:
  LayerNorm(
      Weights& weights,
      const std::string& path,
      int dim,
      float eps = 1e-5f,
      bool affine = true);

  mx::array operator()(const mx::array& x) const { // [..., dim]
    return kernels::layer_norm(x, weight_, bias_, eps_);
  }

 private:
  std::optional<mx::array> weight_;
  std::optional<mx::array> bias_;
  float eps_;
};

/// `path.weight`, or weight norm's `path.weight_v` and `path.weight_g` (folded
/// once), with `path.bias` if the checkpoint has it.
class Conv1d {
 public:
  Conv1d(
      Weights& weights,
      const std::string& path,
      ConvLayout layout,
      int in,
      int out,
      int kernel,
      kernels::Conv1dOptions options = {});

  mx::array operator()(
      const mx::array& x, // [batch, time, in] -> [batch, time', out]
      const std::optional<mx::array>& residual = std::nullopt,
      const std::optional<mx::array>& past = std::nullopt) const {
    return kernels::conv1d(x, weight_, options_, residual, past);
  }
  /// Of x behind an adaptive instance norm.
  mx::array operator()(
      const mx::array& x,
      const kernels::AdaNorm& norm,
      const std::optional<mx::array>& residual = std::nullopt) const {
    return kernels::ada_norm_conv1d(x, norm, weight_, options_, residual);
  }
  /// Of snake(x).
  mx::array operator()(
      const mx::array& x,
      const kernels::SnakeBeta& function,
      const std::optional<mx::array>& residual = std::nullopt,
      const std::optional<mx::array>& past = std::nullopt) const {
    return kernels::snake_conv1d(
        x, function, weight_, options_, residual, past);
  }

 private:
  kernels::Conv1dWeight weight_;
  kernels::Conv1dOptions options_;
};

class ConvTranspose1d {
 public:
  ConvTranspose1d(
      Weights& weights,
      const std::string& path,
      ConvLayout layout,
      int in,
      int out,
      int kernel,
      kernels::ConvTranspose1dOptions options);

  mx::array operator()(
      const mx::array& x,
      const std::optional<mx::array>& past = std::nullopt) const {
    return kernels::conv_transpose1d(x, weight_, options_, past);
  }
  /// Of snake(x).
  mx::array operator()(
      const mx::array& x,
      const kernels::SnakeBeta& function,
      const std::optional<mx::array>& past = std::nullopt) const {
    return kernels::snake_conv_transpose1d(
        x, function, weight_, options_, past);
  }

 private:
  kernels::Conv1dWeight weight_;
  kernels::ConvTranspose1dOptions options_;
};

/// torch.nn.LSTM with one layer: `path.weight_ih_l0`, `weight_hh_l0`,
/// `bias_ih_l0`, `bias_hh_l0`, and the same with `_reverse`.
class BidirectionalLstm {
 public:
  BidirectionalLstm(
      Weights& weights,
      const std::string& path,
      int in,
      int hidden);

  mx::array operator()(const mx::array& x) const { // -> [..., 2 hidden]
    return kernels::bidirectional_lstm(x, forward_, backward_);
  }

 private:
  kernels::LstmWeight forward_;
  kernels::LstmWeight backward_;
};

} // namespace mlx_audio::nn
