#include "models/kokoro/decoder.h"

#include <numeric>
#include <utility>

#include "kernels/cpu_op.h"
#include "kernels/stft.h"

namespace mlx_audio::kokoro {

namespace {

constexpr int decoder_channels = 1024;
constexpr int text_channels = 64;
constexpr float instance_norm_eps = 1e-5f;

int product(const std::vector<int>& values, size_t from = 0) {
  return std::accumulate(
      values.begin() + static_cast<std::ptrdiff_t>(from),
      values.end(),
      1,
      std::multiplies<>());
}

kernels::Conv1dOptions same(int kernel, int dilation = 1) {
  int pad = (kernel - 1) * dilation / 2;
  return {.pad_left = pad, .pad_right = pad, .dilation = dilation};
}

} // namespace

SnakeResBlock::SnakeResBlock(
    nn::Weights& weights,
    const std::string& path,
    int channels,
    int kernel,
    const std::vector<int>& dilations,
    int style) {
  for (size_t i = 0; i < dilations.size(); ++i) {
    auto at = [&](const char* part) {
      return path + "." + part + "." + std::to_string(i);
    };
    auto alpha = [&](const char* part) {
      return mx::astype(
          mx::reshape(weights.take(at(part), {1, channels, 1}), {channels}),
          mx::float32);
    };
    layers_.push_back(
        {StyleAffine(weights, at("adain1"), style, channels),
         StyleAffine(weights, at("adain2"), style, channels),
         alpha("alpha1"),
         alpha("alpha2"),
         nn::Conv1d(
             weights,
             at("convs1"),
             nn::ConvLayout::torch,
             channels,
             channels,
             kernel,
             same(kernel, dilations[i])),
         nn::Conv1d(
             weights,
             at("convs2"),
             nn::ConvLayout::torch,
             channels,
             channels,
             kernel,
             same(kernel))});
  }
}

mx::array SnakeResBlock::operator()(const mx::array& x, const mx::array& style)
    const {
  auto norm = [&](const StyleAffine& affine, const mx::array& alpha) {
    auto [gamma, beta] = affine(style);
    return kernels::AdaNorm{gamma, beta, instance_norm_eps, alpha};
  };
  auto y = x;
  for (const auto& layer : layers_) {
    auto hidden = layer.conv1(y, norm(layer.norm1, layer.alpha1));
    // Moved in, so that the sum may take y's memory.
    y = layer.conv2(hidden, norm(layer.norm2, layer.alpha2), std::move(y));
    kernels::settle(y);
  }
  return y;
}

Generator::Generator(
    nn::Weights& weights,
    const std::string& path,
    const Config& config)
    : n_fft_(config.istftnet.n_fft),
      hop_(config.istftnet.hop),
      source_(
          weights,
          path + ".m_source",
          config.sample_rate,
          product(config.istftnet.upsample_rates) * config.istftnet.hop),
      post_(
          weights,
          path + ".conv_post",
          nn::ConvLayout::torch,
          config.istftnet.upsample_initial_channel >>
              config.istftnet.upsample_rates.size(),
          config.istftnet.n_fft + 2,
          7,
          same(7)) {
  const auto& net = config.istftnet;
  size_t stages = net.upsample_rates.size();
  size_t kernels = net.resblock_kernel_sizes.size();
  for (size_t i = 0; i < stages; ++i) {
    int in = net.upsample_initial_channel >> i;
    int out = in / 2;
    int rate = net.upsample_rates[i];
    int kernel = net.upsample_kernel_sizes[i];
    bool last = i + 1 == stages;
    // The source is brought down to the stage's rate by a strided convolution.
    int stride = product(net.upsample_rates, i + 1);
    int pad = last ? 0 : (stride + 1) / 2;
    auto at = [&](const char* part, size_t index) {
      return path + "." + part + "." + std::to_string(index);
    };
    std::vector<SnakeResBlock> blocks;
    for (size_t j = 0; j < kernels; ++j) {
      blocks.emplace_back(
          weights,
          at("resblocks", i * kernels + j),
          out,
          net.resblock_kernel_sizes[j],
          net.resblock_dilation_sizes[j],
          config.style_dim);
    }
    stages_.push_back(
        {nn::ConvTranspose1d(
             weights,
             at("ups", i),
             nn::ConvLayout::torch,
             in,
             out,
             kernel,
             {.stride = rate, .padding = (kernel - rate) / 2}),
         nn::Conv1d(
             weights,
             at("noise_convs", i),
             nn::ConvLayout::torch,
             net.n_fft + 2,
             out,
             last ? 1 : 2 * stride,
             {.stride = stride, .pad_left = pad, .pad_right = pad}),
         SnakeResBlock(
             weights,
             at("noise_res", i),
             out,
             last ? 11 : 7,
             {1, 3, 5},
             config.style_dim),
         std::move(blocks)});
  }
}

mx::array Generator::source_spectrum(
    const mx::array& f0,
    std::optional<uint64_t> noise_seed,
    Taps* taps /* = nullptr */) const {
  auto source = source_(f0, noise_seed);
  tap(taps, "har_source", source);
  return kernels::magnitude_phase_stft(source, n_fft_, hop_);
}

mx::array Generator::operator()(
    const mx::array& input,
    const mx::array& style,
    const mx::array& source,
    Taps* taps /* = nullptr */) const {
  auto x = input;
  auto excitation = mx::astype(source, input.dtype());
  for (size_t i = 0; i < stages_.size(); ++i) {
    const auto& stage = stages_[i];
    // Settled one by one: at the last rate a sequence takes 2.5 MB a second.
    auto noise = std::make_optional(
        stage.noise_block(stage.noise_conv(excitation), style));
    x = stage.up(kernels::leaky_relu(x, 0.1f));
    if (i + 1 == stages_.size()) {
      // Reflection of one sample on the left: sample 1 comes before sample 0.
      auto mirrored = mx::slice(x, {0, 1, 0}, {x.shape(0), 2, x.shape(2)});
      x = mx::concatenate({mirrored, x}, 1);
    }
    x = x + *noise;
    noise.reset();
    kernels::settle(x);
    auto sum = stage.blocks[0](x, style);
    for (size_t j = 1; j < stage.blocks.size(); ++j) {
      sum = sum + stage.blocks[j](x, style);
      kernels::settle(sum);
    }
    x = sum *
        mx::array(1.0f / static_cast<float>(stage.blocks.size()), sum.dtype());
    kernels::settle(x);
  }
  x = post_(kernels::leaky_relu(x, 0.01f));
  tap(taps, "conv_post", x);
  return kernels::istft_from_log(x, n_fft_, hop_);
}

Decoder::Decoder(
    nn::Weights& weights,
    const std::string& path,
    const Config& config)
    : f0_conv_(
          weights,
          path + ".F0_conv",
          nn::ConvLayout::torch,
          1,
          1,
          3,
          {.stride = 2, .pad_left = 1, .pad_right = 1}),
      energy_conv_(
          weights,
          path + ".N_conv",
          nn::ConvLayout::torch,
          1,
          1,
          3,
          {.stride = 2, .pad_left = 1, .pad_right = 1}),
      text_conv_(
          weights,
          path + ".asr_res.0",
          nn::ConvLayout::torch,
          config.hidden_dim,
          text_channels,
          1),
      encode_(
          weights,
          path + ".encode",
          config.hidden_dim + 2,
          decoder_channels,
          config.style_dim),
      generator_(weights, path + ".generator", config) {
  constexpr int blocks = 4;
  for (int i = 0; i < blocks; ++i) {
    bool last = i + 1 == blocks;
    decode_.emplace_back(
        weights,
        path + ".decode." + std::to_string(i),
        decoder_channels + 2 + text_channels,
        last ? config.istftnet.upsample_initial_channel : decoder_channels,
        config.style_dim,
        last);
  }
}

mx::array Decoder::operator()(
    const mx::array& text,
    const mx::array& f0,
    const mx::array& energy,
    const mx::array& style,
    std::optional<uint64_t> noise_seed,
    Taps* taps /* = nullptr */) const {
  auto pitch = f0_conv_(mx::expand_dims(f0, -1)); // [batch, frames, 1]
  auto loud = energy_conv_(mx::expand_dims(energy, -1));
  auto x = encode_(mx::concatenate({text, pitch, loud}, -1), style);
  tap(taps, "decoder_encode", x);
  auto narrow = text_conv_(text);
  for (const auto& block : decode_) {
    x = block(mx::concatenate({x, narrow, pitch, loud}, -1), style);
    kernels::settle(x);
  }
  tap(taps, "decoder_decode3", x);
  auto source = generator_.source_spectrum(f0, noise_seed, taps);
  tap(taps, "har", source);
  return generator_(x, style, source, taps);
}

} // namespace mlx_audio::kokoro
