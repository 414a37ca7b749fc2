// One-dimensional convolution over channels-last sequences.
#pragma once

#include <memory>
#include <optional>

#include "kernels/norm.h"
#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

struct Conv1dOptions {
  int stride = 1;
  int pad_left = 0;
  int pad_right = 0;
  int dilation = 1;
  int groups = 1;
  /// Most calls will have hundreds of rows and more: the CPU may hold the
  /// weights in a second, larger form that is faster for them.
  bool long_sequences = false;
};

class PackedConv1d; // a backend's own form of the weights

/// Weights of a convolution. Copies share the packed form, which is made at the
/// first call.
struct Conv1dWeight {
  mx::array weight; // [out, kernel, in / groups]
  std::optional<mx::array> bias = {}; // [out]
  std::shared_ptr<std::shared_ptr<const PackedConv1d>> packed =
      std::make_shared<std::shared_ptr<const PackedConv1d>>();
};

/// How a checkpoint stores convolution weights.
enum class ConvLayout {
  torch, ///< [out, in / groups, kernel]; transposed: [in, out / groups, kernel]
  mlx, ///< [out, kernel, in / groups] for both
};

/// Weights as a checkpoint stores them.
struct StoredConv1dWeight {
  mx::array values;
  /// Weight norm's g (Salimans & Kingma 2016), one a row of the first axis: the
  /// weight is g v / |v| over the other axes, 0 where v is 0.
  std::optional<mx::array> gain = {};
  std::optional<mx::array> bias = {}; // [out]
  ConvLayout layout = ConvLayout::torch;
};

/// x [batch, time, in] -> [batch, time', out] in x's dtype, plus `residual` of
/// the result's shape if given.
/// time' = (time + pad_left + pad_right - dilation (kernel - 1) - 1) / stride
/// + 1. `past` [batch, rows, in] lies between the padding and x, as if
/// concatenated.
mx::array conv1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options = {},
    const std::optional<mx::array>& residual = std::nullopt,
    const std::optional<mx::array>& past = std::nullopt);

/// conv1d of ada_instance_norm(x, norm), whose result need never exist as a
/// whole.
mx::array ada_norm_conv1d(
    const mx::array& x,
    const AdaNorm& norm,
    const Conv1dWeight& weight,
    const Conv1dOptions& options = {},
    const std::optional<mx::array>& residual = std::nullopt);

/// conv1d of snake(x, function), likewise; `past` goes through it as x does.
mx::array snake_conv1d(
    const mx::array& x,
    const SnakeBeta& function,
    const Conv1dWeight& weight,
    const Conv1dOptions& options = {},
    const std::optional<mx::array>& residual = std::nullopt,
    const std::optional<mx::array>& past = std::nullopt);

/// Folds weight norm and puts weights into the form that the device's kernel
/// reads, once. Where that is a form of the kernel's own, the result's `weight`
/// keeps its shape only, and calls must run on the same device.
Conv1dWeight load_conv1d(
    const StoredConv1dWeight& stored,
    const Conv1dOptions& options);

struct ConvTranspose1dOptions {
  int stride = 1;
  int padding = 0; ///< cut from both ends of the full result
  int output_padding = 0; ///< samples given back at the right end
  int groups = 1; ///< 1, or in == out == groups (depthwise)
};

Conv1dWeight load_conv_transpose1d(
    const StoredConv1dWeight& stored,
    const ConvTranspose1dOptions& options);

/// x [batch, time, in], weight [out, kernel, in / groups] -> [batch, time',
/// out] with time' = (time - 1) stride - 2 padding + kernel + output_padding.
/// `past` [batch, rows, in] lies before x, as if concatenated.
mx::array conv_transpose1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options = {},
    const std::optional<mx::array>& past = std::nullopt);

/// conv_transpose1d of snake(x, function), and of snake(past, function).
mx::array snake_conv_transpose1d(
    const mx::array& x,
    const SnakeBeta& function,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options = {},
    const std::optional<mx::array>& past = std::nullopt);

} // namespace mlx_audio::kernels
