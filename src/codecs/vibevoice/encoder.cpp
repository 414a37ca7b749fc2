#include "codecs/vibevoice/encoder.h"

#include "kernels/add_scaled.h"
#include "kernels/cpu_op.h"

namespace mlx_audio::codecs::vibevoice {

namespace {

constexpr int kKernel = 7;

mx::array take_f32(nn::Weights& weights, const std::string& name, int dim) {
  return mx::astype(weights.take(name, {dim}), mx::float32);
}

void to_f32(nn::Weights& weights, const std::string& name) {
  auto stored = weights.tensors().find(name);
  if (stored != weights.tensors().end()) {
    stored->second = mx::astype(stored->second, mx::float32);
  }
}

// Layers up to this width have five sixths of the work and few of the weights:
// as f32, like their input, they are multiplied without being unpacked.
constexpr int kNarrow = 1024;

std::string
narrow_as_f32(nn::Weights& weights, const std::string& path, int dim) {
  if (dim <= kNarrow) {
    to_f32(weights, path + ".weight");
  }
  return path;
}

// 16-bit weights would make a convolution round its input; the encoders are
// f32.
CausalConv1d conv(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out,
    int kernel,
    int groups,
    int stride) {
  to_f32(weights, path + ".weight");
  return {
      weights,
      with_bias(weights, path, out),
      layout,
      in,
      out,
      kernel,
      {.stride = stride, .groups = groups}};
}

} // namespace

std::string with_bias(nn::Weights& weights, const std::string& path, int out) {
  weights.take(path + ".bias", {out});
  return path;
}

Encoder::Block::Block(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int dim)
    : norm(take_f32(weights, path + ".norm.weight", dim)),
      ffn_norm(take_f32(weights, path + ".ffn_norm.weight", dim)),
      mixer(conv(
          weights,
          path + ".mixer.conv.conv",
          layout,
          dim,
          dim,
          kKernel,
          /* groups */ dim,
          /* stride */ 1)),
      up(weights,
         narrow_as_f32(
             weights,
             with_bias(weights, path + ".ffn.linear1", 4 * dim),
             dim),
         dim,
         4 * dim),
      down(
          weights,
          narrow_as_f32(
              weights,
              with_bias(weights, path + ".ffn.linear2", dim),
              dim),
          4 * dim,
          dim),
      gamma(take_f32(weights, path + ".gamma", dim)),
      ffn_gamma(take_f32(weights, path + ".ffn_gamma", dim)) {}

Encoder::Encoder(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    const EncoderConfig& c)
    : config_(c),
      head_(conv(
          weights,
          path + ".head.conv",
          layout,
          c.filters << c.strides.size(),
          c.dim,
          kKernel,
          /* groups */ 1,
          /* stride */ 1)) {
  for (size_t i = 0; i < c.depths.size(); ++i) {
    auto number = std::to_string(i);
    int channels = c.filters << i;
    int stride = i == 0 ? 1 : c.strides[i - 1];
    Stage stage{
        conv(
            weights,
            path + ".downsample_layers." + number + ".conv",
            layout,
            i == 0 ? 1 : channels / 2,
            channels,
            i == 0 ? kKernel : 2 * stride,
            /* groups */ 1,
            stride),
        {}};
    for (int j = 0; j < c.depths[i]; ++j) {
      stage.blocks.emplace_back(
          weights,
          path + ".stages." + number + "." + std::to_string(j),
          layout,
          channels);
    }
    convolutions_ += 1 + stage.blocks.size();
    stages_.push_back(std::move(stage));
  }
  ++convolutions_;
}

mx::array Encoder::run(const Block& block, const mx::array& x, Past& past)
    const {
  auto mixed = block.mixer(kernels::rms_norm(x, block.norm, config_.eps), past);
  auto h = kernels::add_scaled(x, mixed, block.gamma);
  auto y = block.up(
      kernels::rms_norm(h, block.ffn_norm, config_.eps), nn::Activation::gelu);
  return kernels::add_scaled(h, block.down(y), block.ffn_gamma);
}

mx::array Encoder::operator()(const mx::array& samples, State& state) const {
  return (*this)(samples, state, nullptr, "");
}

mx::array Encoder::operator()(
    const mx::array& samples,
    State& state,
    nn::Taps* taps,
    const std::string& name) const {
  state.resize(convolutions_);
  auto past = state.begin();
  auto x = samples;
  for (size_t i = 0; i < stages_.size(); ++i) {
    x = stages_[i].entry(x, *past++);
    for (const auto& block : stages_[i].blocks) {
      x = run(block, x, *past++);
      kernels::settle(x);
    }
    nn::tap(taps, (name + "_stage" + std::to_string(i)).c_str(), x);
  }
  return head_(x, *past);
}

} // namespace mlx_audio::codecs::vibevoice
