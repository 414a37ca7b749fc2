#include "models/kokoro/prosody.h"

namespace mlx_audio::kokoro {

namespace {

// x [batch, time, dim] with the style [batch, style_dim] beside every step.
mx::array append_style(const mx::array& x, const mx::array& style) {
  auto s = mx::broadcast_to(
      mx::expand_dims(mx::astype(style, x.dtype()), 1),
      {x.shape(0), x.shape(1), style.shape(1)});
  return mx::concatenate({x, s}, -1);
}

std::vector<AdainResBlock> curve_blocks(
    nn::Weights& weights,
    const std::string& path,
    int dim,
    int style) {
  std::vector<AdainResBlock> blocks;
  blocks.emplace_back(weights, path + ".0", dim, dim, style);
  blocks.emplace_back(weights, path + ".1", dim, dim / 2, style, true);
  blocks.emplace_back(weights, path + ".2", dim / 2, dim / 2, style);
  return blocks;
}

} // namespace

TextEncoder::TextEncoder(
    nn::Weights& weights,
    const std::string& path,
    const Config& config)
    : embedding_(
          weights,
          path + ".embedding",
          config.n_token,
          config.hidden_dim),
      lstm_(weights, path + ".lstm", config.hidden_dim, config.hidden_dim / 2) {
  int kernel = config.text_encoder_kernel_size;
  int pad = (kernel - 1) / 2;
  for (int i = 0; i < config.n_layer; ++i) {
    auto cnn = path + ".cnn." + std::to_string(i);
    convs_.emplace_back(
        weights,
        cnn + ".0",
        nn::ConvLayout::torch,
        config.hidden_dim,
        config.hidden_dim,
        kernel,
        kernels::Conv1dOptions{.pad_left = pad, .pad_right = pad});
    norms_.emplace_back(weights, cnn + ".1", config.hidden_dim);
  }
}

mx::array TextEncoder::operator()(const mx::array& ids) const {
  auto x = mx::astype(embedding_(ids), mx::float32);
  for (size_t i = 0; i < convs_.size(); ++i) {
    x = kernels::leaky_relu(norms_[i](convs_[i](x)), 0.2f);
  }
  return lstm_(x);
}

ProsodyPredictor::ProsodyPredictor(
    nn::Weights& weights,
    const std::string& path,
    const Config& config)
    : lstm_(
          weights,
          path + ".lstm",
          config.hidden_dim + config.style_dim,
          config.hidden_dim / 2),
      duration_(
          weights,
          path + ".duration_proj.linear_layer",
          config.hidden_dim,
          config.max_dur),
      shared_(
          weights,
          path + ".shared",
          config.hidden_dim + config.style_dim,
          config.hidden_dim / 2),
      f0_blocks_(curve_blocks(
          weights,
          path + ".F0",
          config.hidden_dim,
          config.style_dim)),
      energy_blocks_(curve_blocks(
          weights,
          path + ".N",
          config.hidden_dim,
          config.style_dim)),
      f0_projection_(
          weights,
          path + ".F0_proj",
          nn::ConvLayout::torch,
          config.hidden_dim / 2,
          1,
          1),
      energy_projection_(
          weights,
          path + ".N_proj",
          nn::ConvLayout::torch,
          config.hidden_dim / 2,
          1,
          1) {
  for (int i = 0; i < config.n_layer; ++i) {
    // The checkpoint interleaves them: lstms.0 is an LSTM, lstms.1 its norm.
    auto lstms = path + ".text_encoder.lstms.";
    lstms_.emplace_back(
        weights,
        lstms + std::to_string(2 * i),
        config.hidden_dim + config.style_dim,
        config.hidden_dim / 2);
    norms_.emplace_back(
        weights,
        lstms + std::to_string(2 * i + 1),
        config.style_dim,
        config.hidden_dim);
  }
}

mx::array ProsodyPredictor::encode(const mx::array& x, const mx::array& style)
    const {
  auto y = append_style(x, style);
  for (size_t i = 0; i < lstms_.size(); ++i) {
    y = kernels::layer_norm(lstms_[i](y), std::nullopt, std::nullopt, 1e-5f);
    auto [gamma, beta] = norms_[i](style);
    y = y * (mx::expand_dims(gamma, 1) + mx::array(1.0f, y.dtype())) +
        mx::expand_dims(beta, 1);
    y = append_style(y, style);
  }
  return y;
}

mx::array ProsodyPredictor::duration_logits(const mx::array& encoded) const {
  return duration_(lstm_(encoded));
}

ProsodyPredictor::Curves ProsodyPredictor::curves(
    const mx::array& aligned,
    const mx::array& style) const {
  auto x = shared_(aligned);
  auto run = [&](const std::vector<AdainResBlock>& blocks,
                 const nn::Conv1d& projection) {
    auto y = x;
    for (const auto& block : blocks) {
      y = block(y, style);
    }
    return mx::squeeze(projection(y), -1);
  };
  return {
      run(f0_blocks_, f0_projection_), run(energy_blocks_, energy_projection_)};
}

} // namespace mlx_audio::kokoro
