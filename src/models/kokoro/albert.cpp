#include "models/kokoro/albert.h"

#include <cmath>

#include "kernels/attention.h"

namespace mlx_audio::kokoro {

namespace {

constexpr float norm_eps = 1e-12f;

std::string layer(const std::string& path) {
  return path + ".encoder.albert_layer_groups.0.albert_layers.0";
}

} // namespace

Albert::Albert(
    nn::Weights& weights,
    const std::string& path,
    const Config& config)
    : layers_(config.plbert.num_hidden_layers),
      heads_(config.plbert.num_attention_heads),
      words_(
          weights,
          path + ".embeddings.word_embeddings",
          config.n_token,
          config.plbert.embedding_size),
      positions_(
          weights,
          path + ".embeddings.position_embeddings",
          config.plbert.max_position_embeddings,
          config.plbert.embedding_size),
      types_(
          weights,
          path + ".embeddings.token_type_embeddings",
          2,
          config.plbert.embedding_size),
      embedding_norm_(
          weights,
          path + ".embeddings.LayerNorm",
          config.plbert.embedding_size,
          norm_eps),
      embedding_to_hidden_(
          weights,
          path + ".encoder.embedding_hidden_mapping_in",
          config.plbert.embedding_size,
          config.plbert.hidden_size),
      query_(
          weights,
          layer(path) + ".attention.query",
          config.plbert.hidden_size,
          config.plbert.hidden_size),
      key_(
          weights,
          layer(path) + ".attention.key",
          config.plbert.hidden_size,
          config.plbert.hidden_size),
      value_(
          weights,
          layer(path) + ".attention.value",
          config.plbert.hidden_size,
          config.plbert.hidden_size),
      dense_(
          weights,
          layer(path) + ".attention.dense",
          config.plbert.hidden_size,
          config.plbert.hidden_size),
      attention_norm_(
          weights,
          layer(path) + ".attention.LayerNorm",
          config.plbert.hidden_size,
          norm_eps),
      ffn_(
          weights,
          layer(path) + ".ffn",
          config.plbert.hidden_size,
          config.plbert.intermediate_size),
      ffn_output_(
          weights,
          layer(path) + ".ffn_output",
          config.plbert.intermediate_size,
          config.plbert.hidden_size),
      output_norm_(
          weights,
          layer(path) + ".full_layer_layer_norm",
          config.plbert.hidden_size,
          norm_eps) {
  // The sentence head and the position counter of the original take no part.
  for (const char* unused :
       {".pooler.weight",
        ".pooler.bias",
        ".pooler.scales",
        ".pooler.biases",
        ".embeddings.position_ids",
        ".embeddings.token_type_ids"}) {
    weights.ignore(path + unused);
  }
}

mx::array Albert::attention(const mx::array& x) const {
  int batch = x.shape(0);
  int time = x.shape(1);
  int dim = x.shape(2) / heads_;
  auto split = [&](const mx::array& y) { // -> [batch, heads, time, dim]
    return mx::transpose(
        mx::reshape(y, {batch, time, heads_, dim}), {0, 2, 1, 3});
  };
  auto y = kernels::attention(
      split(query_(x)),
      split(key_(x)),
      split(value_(x)),
      1 / std::sqrt(static_cast<float>(dim)));
  return dense_(
      mx::reshape(mx::transpose(y, {0, 2, 1, 3}), {batch, time, heads_ * dim}));
}

mx::array Albert::operator()(const mx::array& ids) const {
  auto positions = mx::arange(ids.shape(1));
  auto x = embedding_norm_(
      mx::astype(
          words_(ids) + positions_(positions) + types_(mx::array({0})),
          mx::float32));
  x = embedding_to_hidden_(x);
  for (int i = 0; i < layers_; ++i) {
    x = attention_norm_(x + attention(x));
    x = output_norm_(x + ffn_output_(ffn_(x, nn::Activation::gelu_tanh)));
  }
  return x;
}

} // namespace mlx_audio::kokoro
