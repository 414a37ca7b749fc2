#include "codecs/causal_conv.h"

namespace mlx_audio::codecs {

namespace {

// The past (zeros at first) before x; keeps the last `reach` inputs of both.
mx::array with_past(const mx::array& x, Past& past, int reach) {
  if (reach == 0) {
    return x;
  }
  auto before =
      past ? *past : mx::zeros({x.shape(0), reach, x.shape(2)}, x.dtype());
  auto all = mx::concatenate({before, x}, 1);
  past = mx::contiguous(
      mx::slice(
          all,
          {0, all.shape(1) - reach, 0},
          {x.shape(0), all.shape(1), x.shape(2)}));
  return all;
}

} // namespace

nn::Linear pointwise(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out) {
  auto shape = layout == nn::ConvLayout::mlx ? mx::Shape{out, 1, in}
                                             : mx::Shape{out, in, 1};
  auto weight = weights.take(path + ".weight", shape);
  return nn::Linear(
      kernels::LinearWeight{.weight = mx::reshape(weight, {out, in})});
}

CausalConv1d::CausalConv1d(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out,
    int kernel,
    int dilation /* = 1 */,
    int groups /* = 1 */,
    int stride /* = 1 */)
    : conv_(
          weights,
          path,
          layout,
          in,
          out,
          kernel,
          {.stride = stride, .dilation = dilation, .groups = groups}),
      reach_((kernel - 1) * dilation + 1 - stride),
      stride_(stride) {}

mx::array CausalConv1d::operator()(
    const mx::array& x,
    Past& past,
    const std::optional<mx::array>& residual /* = std::nullopt */) const {
  int rest = x.shape(1) % stride_;
  auto whole =
      rest == 0 ? x : mx::pad(x, {{0, 0}, {0, stride_ - rest}, {0, 0}});
  return conv_(with_past(whole, past, reach_), residual);
}

mx::array CausalConv1d::operator()(
    const mx::array& x,
    const kernels::SnakeBeta& function,
    Past& past,
    const std::optional<mx::array>& residual /* = std::nullopt */) const {
  return conv_(with_past(x, past, reach_), function, residual);
}

CausalConvTranspose1d::CausalConvTranspose1d(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out,
    int kernel,
    int stride,
    int groups /* = 1 */)
    // What is cut at the left belongs to the inputs of the past.
    : conv_(
          weights,
          path,
          layout,
          in,
          out,
          kernel,
          {.stride = stride, .padding = kernel - stride, .groups = groups}),
      reach_(kernel / stride - 1) {}

mx::array CausalConvTranspose1d::operator()(const mx::array& x, Past& past)
    const {
  return conv_(with_past(x, past, reach_));
}

mx::array CausalConvTranspose1d::operator()(
    const mx::array& x,
    const kernels::SnakeBeta& function,
    Past& past) const {
  return conv_(with_past(x, past, reach_), function);
}

} // namespace mlx_audio::codecs
