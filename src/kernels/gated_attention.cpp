#include "kernels/gated_attention.h"

#include <cmath>

#include "kernels/cpu_op.h"
#include "kernels/gated_attention_cpu.h"

namespace mlx_audio::kernels {

namespace {

mx::array f32(const mx::array& x) {
  return mx::astype(x, mx::float32);
}

mx::array scale_norm_mlx(const mx::array& x, float eps) {
  auto norm = mx::sqrt(mx::sum(mx::square(x), -1, true)) *
      mx::array(1 / std::sqrt(static_cast<float>(x.shape(-1))));
  return x / mx::maximum(norm, mx::array(eps));
}

mx::array columns(const mx::array& x, int begin, int end) {
  return mx::slice(x, {0, begin}, {x.shape(0), end});
}

mx::array rotate_mlx(const mx::array& x, const mx::array& rotary) {
  int time = x.shape(0);
  int pairs = rotary.shape(1) / 2;
  auto c = columns(rotary, 0, pairs);
  auto s = columns(rotary, pairs, 2 * pairs);
  auto head = mx::reshape(columns(x, 0, 2 * pairs), {time, pairs, 2});
  auto parts = mx::split(head, 2, -1);
  auto a = mx::squeeze(parts[0], -1);
  auto b = mx::squeeze(parts[1], -1);
  auto turned = mx::stack({a * c - b * s, b * c + a * s}, -1);
  return mx::concatenate(
      {mx::reshape(turned, {time, 2 * pairs}),
       columns(x, 2 * pairs, x.shape(1))},
      1);
}

mx::array gated_attention_mlx(
    const mx::array& hidden,
    const mx::array& gamma,
    const mx::array& beta,
    const mx::array& rotary,
    const GatedAttentionOptions& o) {
  int time = hidden.shape(0);
  int e = o.value_dim;
  auto values = columns(hidden, 0, 2 * e);
  auto s = columns(hidden, 2 * e, hidden.shape(1));
  auto view = [&](int i) {
    return rotate_mlx(s * mx::take(gamma, i, 0) + mx::take(beta, i, 0), rotary);
  };
  auto quad_q = view(0);
  auto lin_q = view(1);
  auto quad_k = view(2);
  auto lin_k = view(3);
  auto rows = [](const mx::array& x, int begin, int end) {
    return mx::slice(x, {begin, 0}, {end, x.shape(1)});
  };
  auto summary = mx::matmul(mx::transpose(lin_k), values) *
      mx::array(1.0f / static_cast<float>(time));
  std::vector<mx::array> groups;
  for (int t = 0; t < time; t += o.group) {
    int end = std::min(t + o.group, time);
    auto scores =
        mx::matmul(rows(quad_q, t, end), mx::transpose(rows(quad_k, t, end))) *
        mx::array(1.0f / static_cast<float>(o.group));
    auto a = mx::square(mx::maximum(scores, mx::array(0.0f)));
    groups.push_back(mx::matmul(a, rows(values, t, end)));
  }
  auto attended = mx::concatenate(groups, 0) + mx::matmul(lin_q, summary);
  auto v = columns(hidden, 0, e);
  auto u = columns(hidden, e, 2 * e);
  auto gated = columns(attended, e, 2 * e) * v *
      mx::sigmoid(columns(attended, 0, e) * u);
  return scale_norm_mlx(gated, o.eps);
}

} // namespace

mx::array shift_scale_norm(const mx::array& x, float eps) {
  if (x.ndim() != 2 || x.shape(1) % 2 != 0) {
    throw std::invalid_argument(
        "[shift_scale_norm] x must be [time, an even number of channels].");
  }
  int half = x.shape(1) / 2;
  if (!use_cpu_kernels()) {
    auto early = mx::slice(x, {0, 0}, {x.shape(0) - 1, half});
    auto shifted = mx::pad(early, {{1, 0}, {0, 0}});
    return scale_norm_mlx(
        mx::concatenate({shifted, columns(x, half, 2 * half)}, 1), eps);
  }
  return cpu_op(
      "shift_scale_norm",
      {f32(x)},
      x.shape(),
      mx::float32,
      [eps](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        shift_scale_norm_cpu(
            in[0].data<float>(),
            out[0].data<float>(),
            in[0].shape(0),
            in[0].shape(1),
            eps);
      },
      {4.0 * static_cast<double>(x.size()),
       8.0 * static_cast<double>(x.size())});
}

PreluNorm prelu_layer_norm(
    const mx::array& x,
    const mx::array& slope,
    const mx::array& weight,
    const mx::array& bias,
    float eps) {
  if (!use_cpu_kernels()) {
    auto y = mx::maximum(x, mx::array(0.0f)) +
        slope * mx::minimum(x, mx::array(0.0f));
    auto normed = mx::fast::layer_norm(y, weight, bias, eps);
    return {
        normed, mx::fast::layer_norm(normed, std::nullopt, std::nullopt, eps)};
  }
  auto outputs = cpu_op(
      "prelu_layer_norm",
      {f32(x), f32(slope), f32(weight), f32(bias)},
      {x.shape(), x.shape()},
      {mx::float32, mx::float32},
      [eps](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        prelu_layer_norm_cpu(
            in[0].data<float>(),
            *in[1].data<float>(),
            in[2].data<float>(),
            in[3].data<float>(),
            out[0].data<float>(),
            out[1].data<float>(),
            in[0].shape(0),
            in[0].shape(1),
            eps);
      },
      {12.0 * static_cast<double>(x.size()),
       12.0 * static_cast<double>(x.size())});
  return {outputs[0], outputs[1]};
}

mx::array gated_attention(
    const mx::array& hidden,
    const mx::array& gamma,
    const mx::array& beta,
    const mx::array& rotary,
    const GatedAttentionOptions& options) {
  int dim = gamma.shape(-1);
  int time = hidden.shape(0);
  if (hidden.ndim() != 2 || hidden.shape(1) != 2 * options.value_dim + dim ||
      gamma.shape() != mx::Shape{4, dim} || beta.shape() != gamma.shape() ||
      rotary.ndim() != 2 || rotary.shape(0) != time || rotary.shape(1) > dim) {
    throw std::invalid_argument(
        "[gated_attention] hidden must be [time, 2 value_dim + dim], gamma and "
        "beta [4, dim] and rotary [time, at most dim].");
  }
  if (!use_cpu_kernels()) {
    return gated_attention_mlx(hidden, gamma, beta, rotary, options);
  }
  double t = time;
  double e = options.value_dim;
  double flops = 2 * t *
      (2 * e * (std::min<double>(options.group, t) + 2.0 * dim) +
       std::min<double>(options.group, t) * dim);
  return cpu_op(
      "gated_attention",
      {f32(hidden), f32(gamma), f32(beta), f32(rotary)},
      {time, options.value_dim},
      mx::float32,
      [options](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        gated_attention_cpu(
            {.hidden = in[0].data<float>(),
             .gamma = in[1].data<float>(),
             .beta = in[2].data<float>(),
             .rotary = in[3].data<float>(),
             .out = out[0].data<float>(),
             .time = in[0].shape(0),
             .value_dim = options.value_dim,
             .dim = in[1].shape(1),
             .pairs = in[3].shape(1) / 2,
             .group = options.group,
             .eps = options.eps});
      },
      {flops, 4 * t * (4 * e + dim)});
}

} // namespace mlx_audio::kernels
