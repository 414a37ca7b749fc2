#include "models/kokoro/blocks.h"

#include <cmath>

namespace mlx_audio::kokoro {

namespace {

constexpr float instance_norm_eps = 1e-5f;
constexpr float leaky_slope = 0.2f;

} // namespace

StyleAffine::Affine StyleAffine::operator()(const mx::array& style) const {
  auto parts = mx::split(fc_(style), 2, -1);
  return {parts[0], parts[1]};
}

AdainResBlock::AdainResBlock(
    nn::Weights& weights,
    const std::string& path,
    int in,
    int out,
    int style,
    bool upsample /* = false */)
    : norm1_(weights, path + ".norm1", style, in),
      norm2_(weights, path + ".norm2", style, out),
      conv1_(
          weights,
          path + ".conv1",
          nn::ConvLayout::torch,
          in,
          out,
          3,
          {.pad_left = 1, .pad_right = 1}),
      conv2_(
          weights,
          path + ".conv2",
          nn::ConvLayout::torch,
          out,
          out,
          3,
          {.pad_left = 1, .pad_right = 1}) {
  if (in != out) {
    shortcut_.emplace(
        weights, path + ".conv1x1", nn::ConvLayout::torch, in, out, 1);
  }
  if (upsample) {
    pool_.emplace(
        weights,
        path + ".pool",
        nn::ConvLayout::torch,
        in,
        in,
        3,
        kernels::ConvTranspose1dOptions{
            .stride = 2, .padding = 1, .output_padding = 1, .groups = in});
  }
}

mx::array AdainResBlock::operator()(const mx::array& x, const mx::array& style)
    const {
  auto norm = [&](const StyleAffine& affine) {
    auto [gamma, beta] = affine(style);
    return kernels::AdaNorm{
        gamma, beta, instance_norm_eps, std::nullopt, leaky_slope};
  };
  auto shortcut = shortcut_ ? (*shortcut_)(x) : x;
  if (pool_) {
    // Nearest-neighbour doubling commutes with the 1x1 convolution.
    shortcut = mx::repeat(shortcut, 2, 1);
  }
  auto hidden = pool_
      ? conv1_((*pool_)(kernels::ada_instance_norm(x, norm(norm1_))))
      : conv1_(x, norm(norm1_));
  auto y = conv2_(hidden, norm(norm2_), shortcut);
  return y * mx::array(static_cast<float>(std::sqrt(0.5)), y.dtype());
}

} // namespace mlx_audio::kokoro
