#include "kernels/conv1d.h"

#include <string>
#include <vector>

#include "kernels/conv1d_cpu.h"
#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

namespace {

mx::array conv1d_mlx(
    const mx::array& x,
    const Conv1dWeight& w,
    const Conv1dOptions& o,
    const std::optional<mx::array>& residual) {
  auto y = mx::conv_general(
      x,
      mx::astype(w.weight, x.dtype()),
      std::vector<int>{o.stride},
      std::vector<int>{o.pad_left},
      std::vector<int>{o.pad_right},
      std::vector<int>{o.dilation},
      std::vector<int>{1},
      o.groups);
  if (w.bias) {
    y = y + mx::astype(*w.bias, y.dtype());
  }
  return residual ? y + *residual : y;
}

mx::array conv_transpose1d_mlx(
    const mx::array& x,
    const Conv1dWeight& w,
    const ConvTranspose1dOptions& o) {
  auto y = mx::conv_transpose1d(
      x,
      mx::astype(w.weight, x.dtype()),
      o.stride,
      o.padding,
      /* dilation */ 1,
      o.output_padding,
      o.groups);
  return w.bias ? y + mx::astype(*w.bias, y.dtype()) : y;
}

mx::array behind(const std::optional<mx::array>& past, const mx::array& x) {
  return past ? mx::concatenate({mx::astype(*past, x.dtype()), x}, 1) : x;
}

void check(
    const char* op,
    const mx::array& x,
    const Conv1dWeight& w,
    int groups,
    const std::optional<mx::array>& past = std::nullopt) {
  if (x.ndim() != 3 || w.weight.ndim() != 3 ||
      x.shape(2) != w.weight.shape(2) * groups) {
    throw std::invalid_argument(
        std::string("[") + op + "] x must be [batch, time, channels] with " +
        std::to_string(w.weight.shape(-1) * groups) + " channels but has " +
        std::to_string(x.shape(-1)) + ".");
  }
  if (past &&
      (past->ndim() != 3 || past->shape(0) != x.shape(0) ||
       past->shape(2) != x.shape(2))) {
    throw std::invalid_argument(
        std::string("[") + op + "] past must be [batch, rows, channels] of x.");
  }
}

bool has_cpu_kernel(const mx::Shape& shape, int groups) {
  bool depthwise = shape[2] == 1 && shape[0] == groups;
  return use_cpu_kernels() && (groups == 1 || depthwise);
}

mx::array fold_weight_norm(const mx::array& v, const mx::array& g) {
  auto f = mx::astype(v, mx::float32);
  auto norm = mx::sqrt(mx::sum(mx::square(f), {1, 2}, true));
  auto scale = mx::where(
      mx::greater(norm, mx::array(0.0f)),
      mx::astype(g, mx::float32) / norm,
      mx::array(0.0f));
  return mx::astype(f * scale, v.dtype());
}

// Our axes [out, kernel, in / groups] out of the checkpoint's.
std::vector<int> axes_of(ConvLayout layout, bool transposed, int groups) {
  if (layout == ConvLayout::mlx) {
    return {0, 1, 2};
  }
  return transposed && groups == 1 ? std::vector<int>{1, 2, 0}
                                   : std::vector<int>{0, 2, 1};
}

// On a device without a kernel of ours: folded and transposed by MLX.
Conv1dWeight load_mlx(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes) {
  auto w = stored.gain ? fold_weight_norm(stored.values, *stored.gain)
                       : stored.values;
  w = mx::contiguous(mx::transpose(w, axes));
  mx::eval(w);
  return {.weight = w, .bias = stored.bias};
}

} // namespace

Conv1dWeight load_conv1d(
    const StoredConv1dWeight& stored,
    const Conv1dOptions& options) {
  auto axes = axes_of(stored.layout, false, options.groups);
  auto shape = mx::transpose(stored.values, axes).shape();
  if (has_cpu_kernel(shape, options.groups)) {
    return load_conv1d_cpu(stored, axes, options);
  }
  return load_mlx(stored, axes);
}

Conv1dWeight load_conv_transpose1d(
    const StoredConv1dWeight& stored,
    const ConvTranspose1dOptions& options) {
  auto axes = axes_of(stored.layout, true, options.groups);
  auto shape = mx::transpose(stored.values, axes).shape();
  if (has_cpu_kernel(shape, options.groups)) {
    return load_conv_transpose1d_cpu(stored, axes, options);
  }
  return load_mlx(stored, axes);
}

mx::array conv1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options /* = {} */,
    const std::optional<mx::array>& residual /* = std::nullopt */,
    const std::optional<mx::array>& past /* = std::nullopt */) {
  check("conv1d", x, weight, options.groups, past);
  if (has_cpu_kernel(weight.weight.shape(), options.groups)) {
    return conv1d_cpu(x, weight, options, residual, past);
  }
  return conv1d_mlx(behind(past, x), weight, options, residual);
}

mx::array ada_norm_conv1d(
    const mx::array& x,
    const AdaNorm& norm,
    const Conv1dWeight& weight,
    const Conv1dOptions& options /* = {} */,
    const std::optional<mx::array>& residual /* = std::nullopt */) {
  check("ada_norm_conv1d", x, weight, options.groups);
  if (options.groups == 1 && x.size() > 0 && use_cpu_kernels()) {
    return conv1d_cpu(
        x, weight, options, residual, std::nullopt, {.norm = &norm});
  }
  return conv1d(ada_instance_norm(x, norm), weight, options, residual);
}

mx::array snake_conv1d(
    const mx::array& x,
    const SnakeBeta& function,
    const Conv1dWeight& weight,
    const Conv1dOptions& options /* = {} */,
    const std::optional<mx::array>& residual /* = std::nullopt */,
    const std::optional<mx::array>& past /* = std::nullopt */) {
  check("snake_conv1d", x, weight, options.groups, past);
  if (options.groups == 1 && x.size() > 0 && use_cpu_kernels()) {
    return conv1d_cpu(x, weight, options, residual, past, {.snake = &function});
  }
  return conv1d(snake(behind(past, x), function), weight, options, residual);
}

mx::array snake_conv_transpose1d(
    const mx::array& x,
    const SnakeBeta& function,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options /* = {} */,
    const std::optional<mx::array>& past /* = std::nullopt */) {
  check("snake_conv_transpose1d", x, weight, options.groups, past);
  if (options.groups == 1 && x.size() > 0 && use_cpu_kernels()) {
    return conv_transpose1d_cpu(x, weight, options, past, {.snake = &function});
  }
  return conv_transpose1d(snake(behind(past, x), function), weight, options);
}

mx::array conv_transpose1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options /* = {} */,
    const std::optional<mx::array>& past /* = std::nullopt */) {
  check("conv_transpose1d", x, weight, options.groups, past);
  if (has_cpu_kernel(weight.weight.shape(), options.groups)) {
    return conv_transpose1d_cpu(x, weight, options, past);
  }
  return conv_transpose1d_mlx(behind(past, x), weight, options);
}

} // namespace mlx_audio::kernels
