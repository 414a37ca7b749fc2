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

} // namespace

mx::array conv1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options /* = {} */,
    const std::optional<mx::array>& residual /* = std::nullopt */) {
  check("conv1d", x, weight, options.groups);
  bool depthwise = options.groups == x.shape(2) &&
      weight.weight.shape(2) == 1 && weight.weight.shape(0) == options.groups;
  if (use_cpu_kernels() && (options.groups == 1 || depthwise)) {
    return conv1d_cpu(x, weight, options, residual);
  }
  return conv1d_mlx(x, weight, options, residual);
}

mx::array conv_transpose1d(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options /* = {} */) {
  check("conv_transpose1d", x, weight, options.groups);
  if (use_cpu_kernels()) {
    return conv_transpose1d_cpu(x, weight, options);
  }
  return conv_transpose1d_mlx(x, weight, options);
}

} // namespace mlx_audio::kernels
