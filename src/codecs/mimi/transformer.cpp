#include "codecs/mimi/transformer.h"

#include <cmath>

#include "kernels/attention.h"
#include "nn/window.h"

namespace mlx_audio::codecs::mimi {

Transformer::Transformer(
    nn::Weights& weights,
    const std::string& path,
    const Config& c)
    : heads_(c.heads),
      dim_(c.hidden / c.heads),
      window_(c.window),
      rope_theta_(c.rope_theta) {
  for (int i = 0; i < c.layers; ++i) {
    std::string at = path + ".layers." + std::to_string(i);
    auto linear = [&](const char* name, int in, int out) {
      return nn::Linear(weights, at + name, in, out);
    };
    layers_.push_back(
        {nn::LayerNorm(weights, at + ".input_layernorm", c.hidden, c.norm_eps),
         nn::LayerNorm(
             weights, at + ".post_attention_layernorm", c.hidden, c.norm_eps),
         linear(".self_attn.q_proj", c.hidden, c.hidden),
         linear(".self_attn.k_proj", c.hidden, c.hidden),
         linear(".self_attn.v_proj", c.hidden, c.hidden),
         linear(".self_attn.o_proj", c.hidden, c.hidden),
         linear(".mlp.fc1", c.hidden, c.intermediate),
         linear(".mlp.fc2", c.intermediate, c.hidden),
         weights.take(at + ".self_attn_layer_scale.scale", {c.hidden}),
         weights.take(at + ".mlp_layer_scale.scale", {c.hidden})});
  }
}

nn::KvCache Transformer::make_cache() const {
  return {static_cast<int>(layers_.size()), heads_, dim_, window_};
}

mx::array Transformer::attention(
    int index,
    const mx::array& x,
    nn::KvCache& cache) const {
  const Layer& layer = layers_[index];
  int time = x.shape(1);
  auto heads = [&](const mx::array& y) {
    return mx::transpose(mx::reshape(y, {1, time, heads_, dim_}), {0, 2, 1, 3});
  };
  auto rotate = [&](const mx::array& y) {
    return mx::fast::rope(y, dim_, false, rope_theta_, 1.0f, cache.length());
  };
  auto [keys, values] =
      cache.append(index, rotate(heads(layer.k(x))), heads(layer.v(x)));
  auto bias = nn::window_bias(time, keys.shape(2), window_);
  bool causal = !bias && time > 1;
  auto y = kernels::attention(
      rotate(heads(layer.q(x))),
      keys,
      values,
      1 / std::sqrt(static_cast<float>(dim_)),
      causal ? kernels::Mask::causal : kernels::Mask::none,
      bias);
  return layer.o(
      mx::reshape(mx::transpose(y, {0, 2, 1, 3}), {1, time, heads_ * dim_}));
}

mx::array Transformer::operator()(const mx::array& input, nn::KvCache& cache)
    const {
  auto x = input;
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    const Layer& layer = layers_[i];
    x = x + attention(i, layer.norm1(x), cache) * layer.scale1;
    auto y = layer.fc1(layer.norm2(x), nn::Activation::gelu);
    x = x + layer.fc2(y) * layer.scale2;
  }
  cache.advance(x.shape(1));
  return x;
}

} // namespace mlx_audio::codecs::mimi
