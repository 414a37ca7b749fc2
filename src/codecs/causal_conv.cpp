#include "codecs/causal_conv.h"

namespace mlx_audio::codecs {

namespace {

mx::array last_rows(const mx::array& x, int count) {
  return mx::slice(
      x, {0, x.shape(1) - count, 0}, {x.shape(0), x.shape(1), x.shape(2)});
}

// What lies before x (zeros at first); `past` becomes the last `reach` inputs
// of both.
Past take_past(const mx::array& x, Past& past, int reach) {
  if (reach == 0) {
    return std::nullopt;
  }
  auto before =
      past ? *past : mx::zeros({x.shape(0), reach, x.shape(2)}, x.dtype());
  const int kept = reach - x.shape(1);
  past = mx::contiguous(
      kept > 0 ? mx::concatenate({last_rows(before, kept), x}, 1)
               : last_rows(x, reach));
  return before;
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
    kernels::Conv1dOptions options /* = {} */)
    : conv_(weights, path, layout, in, out, kernel, options),
      reach_((kernel - 1) * options.dilation + 1 - options.stride),
      stride_(options.stride) {}

mx::array CausalConv1d::operator()(
    const mx::array& x,
    Past& past,
    const std::optional<mx::array>& residual /* = std::nullopt */) const {
  int rest = x.shape(1) % stride_;
  auto whole =
      rest == 0 ? x : mx::pad(x, {{0, 0}, {0, stride_ - rest}, {0, 0}});
  return conv_(whole, residual, take_past(whole, past, reach_));
}

mx::array CausalConv1d::operator()(
    const mx::array& x,
    const kernels::SnakeBeta& function,
    Past& past,
    const std::optional<mx::array>& residual /* = std::nullopt */) const {
  return conv_(x, function, residual, take_past(x, past, reach_));
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
  return conv_(x, take_past(x, past, reach_));
}

mx::array CausalConvTranspose1d::operator()(
    const mx::array& x,
    const kernels::SnakeBeta& function,
    Past& past) const {
  return conv_(x, function, take_past(x, past, reach_));
}

} // namespace mlx_audio::codecs
