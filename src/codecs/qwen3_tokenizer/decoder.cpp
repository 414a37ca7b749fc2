#include "codecs/qwen3_tokenizer/decoder.h"

#include <algorithm>

#include "codecs/codebook.h"
#include "kernels/norm.h"

namespace mlx_audio::codecs::qwen3 {

namespace {

// x + sin(e^alpha x)^2 / (e^beta + 1e-9)
kernels::SnakeBeta
take_snake(nn::Weights& weights, const std::string& path, int channels) {
  auto take = [&](const char* name) {
    return mx::exp(
        mx::astype(weights.take(path + name, {channels}), mx::float32));
  };
  return {take(".alpha"), mx::reciprocal(take(".beta") + mx::array(1e-9f))};
}

mx::array rows_of(const mx::array& x) { // [1, time, channels]
  return mx::reshape(x, {x.shape(1), x.shape(2)});
}

} // namespace

Decoder::Decoder(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    const DecoderConfig& c)
    : first_projection_(pointwise(
          weights,
          path + ".quantizer.rvq_first.output_proj",
          layout,
          c.codebook_dim / 2,
          c.codebook_dim)),
      rest_projection_(pointwise(
          weights,
          path + ".quantizer.rvq_rest.output_proj",
          layout,
          c.codebook_dim / 2,
          c.codebook_dim)),
      pre_conv_(
          weights,
          path + ".pre_conv.conv",
          layout,
          c.codebook_dim,
          c.latent,
          3),
      transformer_in_(
          weights,
          path + ".pre_transformer.input_proj",
          c.latent,
          c.transformer.hidden),
      transformer_(weights, path + ".pre_transformer", c.transformer),
      transformer_out_(
          weights,
          path + ".pre_transformer.output_proj",
          c.transformer.hidden,
          c.latent),
      first_conv_(
          weights,
          path + ".decoder.0.conv",
          layout,
          c.latent,
          c.channels,
          7),
      last_act_(take_snake(
          weights,
          path + ".decoder." + std::to_string(c.upsample_rates.size() + 1),
          c.channels >> c.upsample_rates.size())),
      last_conv_(
          weights,
          path + ".decoder." + std::to_string(c.upsample_rates.size() + 2) +
              ".conv",
          layout,
          c.channels >> c.upsample_rates.size(),
          1,
          7) {
  for (int i = 0; i < c.groups; ++i) {
    std::string part = i == 0 ? ".quantizer.rvq_first" : ".quantizer.rvq_rest";
    codebooks_.push_back(take_codebook(
        weights,
        path + part + ".vq.layers." + std::to_string(i == 0 ? 0 : i - 1) +
            "._codebook",
        "embedding_sum",
        c.codebook,
        c.codebook_dim / 2));
  }
  for (const char* part : {".quantizer.rvq_first", ".quantizer.rvq_rest"}) {
    weights.ignore(path + part + ".input_proj.weight"); // for encoding
  }
  for (size_t i = 0; i < c.upsampling_ratios.size(); ++i) {
    std::string at = path + ".upsample." + std::to_string(i);
    int factor = c.upsampling_ratios[i];
    upsample_.push_back(
        {CausalConvTranspose1d(
             weights,
             at + ".0.conv",
             layout,
             c.latent,
             c.latent,
             factor,
             factor),
         CausalConv1d(
             weights,
             at + ".1.dwconv.conv",
             layout,
             c.latent,
             c.latent,
             7,
             {.groups = c.latent}),
         nn::LayerNorm(weights, at + ".1.norm", c.latent, 1e-6f),
         nn::RoundedLinear(
             nn::Linear(weights, at + ".1.pwconv1", c.latent, 4 * c.latent)),
         nn::RoundedLinear(
             nn::Linear(weights, at + ".1.pwconv2", 4 * c.latent, c.latent)),
         weights.take(at + ".1.gamma", {c.latent})});
  }
  for (size_t i = 0; i < c.upsample_rates.size(); ++i) {
    std::string at = path + ".decoder." + std::to_string(i + 1) + ".block";
    int in = c.channels >> i;
    int out = in / 2;
    int rate = c.upsample_rates[i];
    Block block{
        take_snake(weights, at + ".0", in),
        CausalConvTranspose1d(
            weights, at + ".1.conv", layout, in, out, 2 * rate, rate),
        {}};
    int dilation = 1;
    for (int j = 2; j < 5; ++j, dilation *= 3) {
      std::string unit = at + "." + std::to_string(j);
      block.residuals.push_back(
          {take_snake(weights, unit + ".act1", out),
           CausalConv1d(
               weights,
               unit + ".conv1.conv",
               layout,
               out,
               out,
               7,
               {.dilation = dilation, .long_sequences = true}),
           take_snake(weights, unit + ".act2", out),
           CausalConv1d(weights, unit + ".conv2.conv", layout, out, out, 1)});
    }
    blocks_.push_back(std::move(block));
  }
  past_count_ = 3 + 2 * upsample_.size() + 7 * blocks_.size();
  // The last two blocks have few weights and long sequences.
  whole_blocks_ = blocks_.size() - std::min<size_t>(2, blocks_.size());
  int64_t values = c.channels >> c.upsample_rates.size();
  for (size_t i = whole_blocks_; i < blocks_.size(); ++i) {
    values *= c.upsample_rates[i];
  }
  slice_rows_ = static_cast<int>(std::max<int64_t>(1, c.slice / values));
}

mx::array Decoder::operator()(
    const mx::array& codes,
    State& state,
    Taps* taps /* = nullptr */) const {
  if (!state.cache) {
    state.cache.emplace(transformer_.make_cache());
    state.pasts.resize(past_count_);
  }
  size_t next = 0;
  auto past = [&]() -> Past& { return state.pasts[next++]; };
  auto run_block = [&](const Block& block, const mx::array& in) {
    auto x = block.conv(in, block.act, past());
    for (const Residual& unit : block.residuals) {
      auto y = unit.conv1(x, unit.act1, past());
      x = unit.conv2(y, unit.act2, past(), x);
      kernels::settle(x);
    }
    return x;
  };
  auto tap = [&](const std::string& name, const mx::array& value) {
    if (taps != nullptr) {
      taps->insert_or_assign(name, rows_of(value));
    }
  };
  auto x = mx::expand_dims(
      split_quantized(codes, codebooks_, first_projection_, rest_projection_),
      0);
  tap("quantized", x);
  x = pre_conv_(x, past());
  tap("pre_conv", x);
  nn::KvCache* cache = &*state.cache;
  x = transformer_out_(transformer_(transformer_in_(x), {&cache, 1}));
  tap("pre_transformer", x);
  for (size_t i = 0; i < upsample_.size(); ++i) {
    const ConvNext& u = upsample_[i];
    x = u.up(x, past());
    auto y = u.norm(u.depthwise(x, past()));
    y = u.contract(u.expand(y, nn::Activation::gelu));
    x = x + y * u.gamma;
    tap("upsample." + std::to_string(i), x);
  }
  x = first_conv_(x, past());
  tap("decoder.0", x);
  const size_t whole = taps != nullptr ? blocks_.size() : whole_blocks_;
  for (size_t i = 0; i < whole; ++i) {
    x = run_block(blocks_[i], x);
    tap("decoder." + std::to_string(i + 1), x);
  }
  if (taps != nullptr) {
    tap("decoder." + std::to_string(blocks_.size() + 1),
        kernels::snake(x, last_act_));
  }
  // The last blocks in slices whose activations stay in the caches.
  const size_t first = next;
  const int rows = x.shape(1);
  const int slice = taps != nullptr ? rows : slice_rows_;
  std::vector<mx::array> slices;
  for (int at = 0; at < rows; at += slice) {
    next = first;
    auto part =
        mx::slice(x, {0, at, 0}, {1, std::min(at + slice, rows), x.shape(2)});
    for (size_t i = whole; i < blocks_.size(); ++i) {
      part = run_block(blocks_[i], part);
    }
    part = last_conv_(part, last_act_, past());
    kernels::settle(part);
    slices.push_back(part);
  }
  x = slices.size() == 1 ? slices[0] : mx::concatenate(slices, 1);
  tap("decoder." + std::to_string(blocks_.size() + 2), x);
  x = mx::clip(x, mx::array(-1.0f), mx::array(1.0f));
  return mx::reshape(x, {-1});
}

} // namespace mlx_audio::codecs::qwen3
