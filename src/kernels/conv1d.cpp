#include "kernels/conv1d.h"

#include <string>

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

void check(
    const char* op,
    const mx::array& x,
    const Conv1dWeight& w,
    int groups) {
  if (x.ndim() != 3 || w.weight.ndim() != 3 ||
      x.shape(2) != w.weight.shape(2) * groups) {
    throw std::invalid_argument(
        std::string("[") + op + "] x must be [batch, time, channels] with " +
        std::to_string(w.weight.shape(-1) * groups) + " channels but has " +
        std::to_string(x.shape(-1)) + ".");
  }
}

bool has_cpu_kernel(const Conv1dWeight& w, int groups) {
  bool depthwise = w.weight.shape(2) == 1 && w.weight.shape(0) == groups;
  return use_cpu_kernels() && (groups == 1 || depthwise);
}

} // namespace

void prepare_conv1d(Conv1dWeight& weight, const Conv1dOptions& options) {
  if (has_cpu_kernel(weight, options.groups)) {
    pack_conv1d_cpu(weight, options);
    release_after_packing(weight);
  }
}

void prepare_conv_transpose1d(
    Conv1dWeight& weight,
    const ConvTranspose1dOptions& options) {
  if (has_cpu_kernel(weight, options.groups)) {
    pack_conv_transpose1d_cpu(weight, options);
    release_after_packing(weight);
  }
}

mx::array conv1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options /* = {} */,
    const std::optional<mx::array>& residual /* = std::nullopt */) {
  check("conv1d", x, weight, options.groups);
  if (has_cpu_kernel(weight, options.groups)) {
    return conv1d_cpu(x, weight, options, residual);
  }
  return conv1d_mlx(x, weight, options, residual);
}

mx::array conv_transpose1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options /* = {} */) {
  check("conv_transpose1d", x, weight, options.groups);
  if (has_cpu_kernel(weight, options.groups)) {
    return conv_transpose1d_cpu(x, weight, options);
  }
  return conv_transpose1d_mlx(x, weight, options);
}

} // namespace mlx_audio::kernels
