#include "models/vibevoice_asr/network.h"

#include "kernels/cpu_op.h"
#include "models/vibevoice_asr/weight_names.h"

namespace mlx_audio::vibevoice_asr {

namespace {

constexpr float kConnectorEps = 1e-6f;

// The CPU's kernels compute in f32 whatever the weights are; cards in the
// checkpoint's type.
mx::Dtype activation_dtype(nn::Weights& weights) {
  if (kernels::use_cpu_kernels()) {
    return mx::float32;
  }
  auto found = weights.tensors().find("language_model.model.norm.weight");
  return found == weights.tensors().end() ? mx::float32 : found->second.dtype();
}

// With tied embeddings a head of its own would have no effect.
void ignore_tied_head(nn::Weights& weights) {
  for (const char* part : {"weight", "scales", "biases"}) {
    weights.ignore(std::string("language_model.lm_head.") + part);
  }
}

mx::array encode_with(
    const codecs::vibevoice::Encoder& encoder,
    const mx::array& samples,
    codecs::vibevoice::Encoder::State& state) {
  auto z = encoder(samples, state);
  z = mx::contiguous(mx::reshape(z, {z.shape(1), z.shape(2)}));
  std::vector<mx::array> kept{z};
  for (auto& past : state) {
    if (past) {
      kept.push_back(*past);
    }
  }
  mx::eval(kept);
  return z;
}

} // namespace

Connector::Connector(
    nn::Weights& weights,
    const std::string& path,
    int in,
    int out)
    : fc1_(
          weights,
          codecs::vibevoice::with_bias(weights, path + ".fc1", out),
          in,
          out),
      norm_(
          mx::astype(weights.take(path + ".norm.weight", {out}), mx::float32)),
      fc2_(
          weights,
          codecs::vibevoice::with_bias(weights, path + ".fc2", out),
          out,
          out) {}

mx::array Connector::operator()(const mx::array& x) const {
  return fc2_(kernels::rms_norm(fc1_(x), norm_, kConnectorEps));
}

LanguageModel::LanguageModel(nn::Weights& weights, const Config& config)
    : dtype_(activation_dtype(weights)),
      embedding_(
          weights,
          "language_model.model.embed_tokens",
          config.vocab,
          config.decoder.hidden),
      decoder_(weights, "language_model.model", config.decoder) {
  if (config.tied) {
    ignore_tied_head(weights);
  } else {
    head_.emplace(
        weights, "language_model.lm_head", config.decoder.hidden, config.vocab);
  }
}

mx::array LanguageModel::embed(std::span<const int> ids) const {
  auto rows = embedding_(
      mx::array(ids.data(), {static_cast<int>(ids.size())}, mx::int32));
  return mx::astype(rows, dtype_);
}

mx::array LanguageModel::read(const mx::array& x, nn::KvCache& cache) const {
  int steps = x.shape(0);
  int width = x.shape(1);
  nn::KvCache* caches[] = {&cache};
  auto y = decoder_(mx::expand_dims(x, 0), caches);
  auto last =
      mx::reshape(mx::slice(y, {0, steps - 1, 0}, {1, steps, width}), {width});
  last.eval(); // keys and values too, before more of them come
  return last;
}

mx::array LanguageModel::logits(const mx::array& hidden) const {
  auto x = mx::expand_dims(hidden, 0);
  auto y = head_ ? (*head_)(x) : embedding_.as_linear(x);
  return mx::astype(mx::reshape(y, {y.shape(1)}), mx::float32);
}

std::unique_ptr<Network> Network::load(
    const std::string& folder,
    std::optional<mx::Dtype> dtype /* = std::nullopt */) {
  auto config = read_config(folder);
  auto loaded = nn::load_weights(folder);
  auto& weights = loaded.weights;
  weights.rename(canonical_name);
  if (dtype) {
    weights.cast(*dtype);
  }
  uint64_t bytes = weights.bytes();
  codecs::vibevoice::Encoder acoustic(
      weights,
      "acoustic_tokenizer.encoder",
      loaded.conv_layout,
      config.acoustic);
  codecs::vibevoice::Encoder semantic(
      weights,
      "semantic_tokenizer.encoder",
      loaded.conv_layout,
      config.semantic);
  int width = config.decoder.hidden;
  Connector acoustic_connector(
      weights, "acoustic_connector", config.acoustic.dim, width);
  Connector semantic_connector(
      weights, "semantic_connector", config.semantic.dim, width);
  LanguageModel language(weights, config);
  weights.expect_all_taken();
  return std::make_unique<Network>(Network{
      std::move(config),
      std::move(acoustic),
      std::move(semantic),
      std::move(acoustic_connector),
      std::move(semantic_connector),
      std::move(language),
      bytes});
}

Latents Network::encode(std::span<const float> samples, State& state) const {
  mx::array x(
      samples.data(), {1, static_cast<int>(samples.size()), 1}, mx::float32);
  return {
      encode_with(acoustic, x, state.acoustic),
      encode_with(semantic, x, state.semantic)};
}

mx::array Network::features(const Latents& latents) const {
  auto sum = acoustic_connector(latents.acoustic) +
      semantic_connector(latents.semantic);
  return mx::astype(sum, language.dtype());
}

} // namespace mlx_audio::vibevoice_asr
