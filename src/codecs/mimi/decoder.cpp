#include "codecs/mimi/decoder.h"

#include "codecs/codebook.h"
#include "kernels/elu.h"

namespace mlx_audio::codecs::mimi {

namespace {

using kernels::elu;

std::string layer(const std::string& path, int index) {
  return path + ".decoder.layers." + std::to_string(index);
}

// Index of the last convolution in the list of layers, activations included.
int last_index(const Config& c) {
  return 2 + c.stages() * (c.residual_layers + 2);
}

} // namespace

Decoder::Decoder(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    const Config& c,
    std::vector<mx::array> codebooks)
    : codebooks_(std::move(codebooks)),
      semantic_projection_(pointwise(
          weights,
          path + ".quantizer.semantic_residual_vector_quantizer.output_proj",
          layout,
          c.codebook_dim,
          c.hidden)),
      acoustic_projection_(pointwise(
          weights,
          path + ".quantizer.acoustic_residual_vector_quantizer.output_proj",
          layout,
          c.codebook_dim,
          c.hidden)),
      upsample_(
          weights,
          path + ".upsample.conv",
          layout,
          c.hidden,
          c.hidden,
          4,
          2,
          c.hidden),
      transformer_(weights, path + ".decoder_transformer", c),
      first_(
          weights,
          layer(path, 0) + ".conv",
          layout,
          c.hidden,
          c.filters << c.stages(),
          c.kernel),
      last_(
          weights,
          layer(path, last_index(c)) + ".conv",
          layout,
          c.filters,
          1,
          c.last_kernel) {
  int channels = c.filters << c.stages();
  int index = 2; // behind the first convolution and an activation
  for (int ratio : c.ratios) {
    Stage stage{
        CausalConvTranspose1d(
            weights,
            layer(path, index++) + ".conv",
            layout,
            channels,
            channels / 2,
            2 * ratio,
            ratio),
        {}};
    channels /= 2;
    int inner = channels / c.compress;
    int dilation = 1;
    for (int j = 0; j < c.residual_layers; ++j, dilation *= c.dilation_growth) {
      std::string block = layer(path, index++) + ".block.";
      stage.residuals.push_back(
          {CausalConv1d(
               weights,
               block + "1.conv",
               layout,
               channels,
               inner,
               c.residual_kernel,
               {.dilation = dilation}),
           CausalConv1d(
               weights, block + "3.conv", layout, inner, channels, 1)});
    }
    ++index; // an activation
    stages_.push_back(std::move(stage));
  }
  past_count_ = 3 + stages_.size() * (1 + 2 * c.residual_layers);
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
  auto tap = [&](const char* name, const mx::array& value) {
    if (taps != nullptr) {
      taps->insert_or_assign(
          name, mx::reshape(value, {value.shape(1), value.shape(2)}));
    }
  };
  auto x = mx::expand_dims(
      split_quantized(
          codes, codebooks_, semantic_projection_, acoustic_projection_),
      0);
  tap("quantized", x);
  x = upsample_(x, past());
  tap("upsample", x);
  x = transformer_(x, *state.cache);
  tap("transformer", x);
  x = first_(x, past());
  for (const Stage& stage : stages_) {
    x = stage.up(elu(x), past());
    for (const auto& [wide, narrow] : stage.residuals) {
      auto y = wide(elu(x), past());
      x = narrow(elu(y), past(), x);
    }
  }
  x = last_(elu(x), past());
  tap("audio", x);
  return mx::reshape(x, {-1});
}

} // namespace mlx_audio::codecs::mimi
