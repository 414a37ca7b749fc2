#include "kernels/depthwise_conv1d.h"

#include "kernels/cpu_op.h"
#include "kernels/depthwise_conv1d_cpu.h"

namespace mlx_audio::kernels {

namespace {

mx::array depthwise_residual_conv1d_mlx(
    const mx::array& x,
    const mx::array& weight,
    const std::optional<mx::array>& residual) {
  int kernel = weight.shape(0);
  int channels = weight.shape(1);
  auto w = mx::expand_dims(mx::transpose(weight), 2); // [channels, kernel, 1]
  auto y = mx::conv1d(
      mx::expand_dims(x, 0),
      mx::astype(w, x.dtype()),
      /* stride */ 1,
      /* padding */ kernel / 2,
      /* dilation */ 1,
      /* groups */ channels);
  y = x + mx::squeeze(y, 0);
  return residual ? y + *residual : y;
}

void check(
    const mx::array& x,
    const mx::array& weight,
    const mx::array& other) {
  if (x.ndim() != 2 || weight.ndim() != 2 || weight.shape(0) % 2 == 0 ||
      x.shape(1) != weight.shape(1) || other.shape() != x.shape()) {
    throw std::invalid_argument(
        "[depthwise_residual_conv1d] x must be [time, channels] and the weight "
        "[odd kernel, channels].");
  }
}

OpCost cost(const mx::array& x, const mx::array& weight, int arrays) {
  return {
      2.0 * static_cast<double>(x.size()) * weight.shape(0),
      4.0 * arrays * static_cast<double>(x.size())};
}

mx::array f32(const mx::array& x) {
  return mx::astype(x, mx::float32);
}

} // namespace

mx::array depthwise_residual_conv1d(
    const mx::array& x,
    const mx::array& weight,
    const std::optional<mx::array>& residual /* = std::nullopt */) {
  check(x, weight, residual.value_or(x));
  if (!use_cpu_kernels()) {
    return depthwise_residual_conv1d_mlx(x, weight, residual);
  }
  std::vector<mx::array> inputs{f32(x), f32(weight)};
  if (residual) {
    inputs.push_back(f32(*residual));
  }
  return cpu_op(
      "depthwise_conv1d",
      inputs,
      x.shape(),
      mx::float32,
      [](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        depthwise_residual_conv1d_cpu(
            {.x = in[0].data<float>(),
             .weight = in[1].data<float>(),
             .residual = in.size() > 2 ? in[2].data<float>() : nullptr,
             .y = out[0].data<float>(),
             .time = in[0].shape(0),
             .channels = in[0].shape(1),
             .kernel = in[1].shape(0),
             .x_stride = in[0].shape(1),
             .weight_stride = in[0].shape(1),
             .y_stride = in[0].shape(1)});
      },
      cost(x, weight, residual ? 3 : 2));
}

mx::array fsmn_gate(
    const mx::array& projected,
    const mx::array& weight,
    const mx::array& u,
    const mx::array& v,
    const mx::array& input,
    float eps) {
  check(projected, weight, u);
  check(projected, weight, v);
  check(projected, weight, input);
  if (!use_cpu_kernels()) {
    auto memory = depthwise_residual_conv1d_mlx(projected, weight, u);
    return mx::fast::layer_norm(
        memory * v + input, std::nullopt, std::nullopt, eps);
  }
  return cpu_op(
      "fsmn_gate",
      {f32(projected), f32(weight), f32(u), f32(v), f32(input)},
      projected.shape(),
      mx::float32,
      [eps](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        DepthwiseArguments a{
            .x = in[0].data<float>(),
            .weight = in[1].data<float>(),
            .residual = in[2].data<float>(),
            .y = out[0].data<float>(),
            .time = in[0].shape(0),
            .channels = in[0].shape(1),
            .kernel = in[1].shape(0),
            .x_stride = in[0].shape(1),
            .weight_stride = in[0].shape(1),
            .y_stride = in[0].shape(1)};
        depthwise_residual_conv1d_cpu(a);
        gate_and_normalize_cpu(
            a.y,
            in[3].data<float>(),
            in[4].data<float>(),
            a.time,
            a.channels,
            eps);
      },
      cost(projected, weight, 6));
}

} // namespace mlx_audio::kernels
