#include "nn/decoder.h"

#include <cmath>

#include "kernels/attention.h"
#include "kernels/cpu_op.h"
#include "kernels/decoder_step_cpu.h"
#include "kernels/linear_cpu.h"
#include "nn/cpu_weights.h"
#include "nn/window.h"

namespace mlx_audio::nn {

namespace {

std::optional<mx::array>
take_if(bool wanted, Weights& weights, const std::string& name, int dim) {
  if (!wanted) {
    return std::nullopt;
  }
  return weights.take(name, {dim});
}

// A projection whose bias is part of the architecture.
Linear biased(
    bool wanted,
    Weights& weights,
    const std::string& path,
    int in,
    int out) {
  if (wanted) {
    weights.take(path + ".bias", {out}); // throws if it is missing
  }
  return {weights, path, in, out};
}

mx::array scaled(const mx::array& x, const std::optional<mx::array>& scale) {
  return scale ? x * mx::astype(*scale, x.dtype()) : x;
}

mx::array norm(const mx::array& x, const mx::array& weight, float eps) {
  return kernels::rms_norm(x, mx::astype(weight, x.dtype()), eps);
}

} // namespace

DecoderLayer::DecoderLayer(
    Weights& weights,
    const std::string& path,
    const DecoderConfig& c)
    : input_norm(weights.take(path + ".input_layernorm.weight", {c.hidden})),
      post_norm(
          weights.take(path + ".post_attention_layernorm.weight", {c.hidden})),
      q_norm(take_if(
          c.qk_norm,
          weights,
          path + ".self_attn.q_norm.weight",
          c.head_dim)),
      k_norm(take_if(
          c.qk_norm,
          weights,
          path + ".self_attn.k_norm.weight",
          c.head_dim)),
      attention_scale(take_if(
          c.layer_scale,
          weights,
          path + ".self_attn_layer_scale.scale",
          c.hidden)),
      mlp_scale(take_if(
          c.layer_scale,
          weights,
          path + ".mlp_layer_scale.scale",
          c.hidden)),
      q(biased(
          c.qkv_bias,
          weights,
          path + ".self_attn.q_proj",
          c.hidden,
          c.heads * c.head_dim)),
      k(biased(
          c.qkv_bias,
          weights,
          path + ".self_attn.k_proj",
          c.hidden,
          c.kv_heads * c.head_dim)),
      v(biased(
          c.qkv_bias,
          weights,
          path + ".self_attn.v_proj",
          c.hidden,
          c.kv_heads * c.head_dim)),
      o(weights, path + ".self_attn.o_proj", c.heads * c.head_dim, c.hidden),
      gate(weights, path + ".mlp.gate_proj", c.hidden, c.intermediate),
      up(weights, path + ".mlp.up_proj", c.hidden, c.intermediate),
      down(weights, path + ".mlp.down_proj", c.intermediate, c.hidden) {}

// The weights as the kernel takes them, made at the first step.
struct Decoder::Kernel {
  bool ready = false;
  CpuWeights weights = {};
  std::vector<kernels::DecoderStepLayer> layers = {};
  const float* norm = nullptr;
};

Decoder::Decoder(
    Weights& weights,
    const std::string& path,
    const DecoderConfig& config)
    : config_(config),
      norm_(weights.take(path + ".norm.weight", {config.hidden})),
      rope_frequencies_(rope_frequencies(
          config.head_dim,
          config.rope_theta,
          config.rope_scaling)) {
  if (config.rope_scaling) {
    std::vector<float> periods;
    for (double frequency : rope_frequencies_) {
      periods.push_back(static_cast<float>(1 / frequency));
    }
    rope_periods_ =
        mx::array(periods.data(), {static_cast<int>(periods.size())});
  }
  layers_.reserve(config.layers);
  for (int i = 0; i < config.layers; ++i) {
    layers_.emplace_back(
        weights, path + ".layers." + std::to_string(i), config);
  }
  if (has_kernel()) {
    kernel_ = std::make_shared<Kernel>();
  }
}

// Only the composition has windows and layer scales.
bool Decoder::has_kernel() const {
  if (!kernels::use_cpu_kernels() || config_.window != 0 ||
      config_.layer_scale) {
    return false;
  }
  mx::array x = mx::zeros({1}, mx::float32);
  for (const auto& layer : layers_) {
    for (const Linear* linear :
         {&layer.q,
          &layer.k,
          &layer.v,
          &layer.o,
          &layer.gate,
          &layer.up,
          &layer.down}) {
      bool may_have_bias =
          linear == &layer.q || linear == &layer.k || linear == &layer.v;
      if ((linear->weight().bias && !may_have_bias) ||
          !kernels::linear_cpu_takes(x, linear->weight())) {
        return false;
      }
    }
  }
  return true;
}

void Decoder::make_kernel() const {
  Kernel& kernel = *kernel_;
  if (kernel.ready) {
    return;
  }
  CpuWeights& w = kernel.weights;
  auto bias = [&](const Linear& linear) {
    const auto& values = linear.weight().bias;
    return values ? w.floats(*values) : nullptr;
  };
  for (const auto& l : layers_) {
    kernel.layers.push_back(
        {.input_norm = w.floats(l.input_norm),
         .post_norm = w.floats(l.post_norm),
         .q_norm = l.q_norm ? w.floats(*l.q_norm) : nullptr,
         .k_norm = l.k_norm ? w.floats(*l.k_norm) : nullptr,
         .q_bias = bias(l.q),
         .k_bias = bias(l.k),
         .v_bias = bias(l.v),
         .q = w.matrix(l.q.weight()),
         .k = w.matrix(l.k.weight()),
         .v = w.matrix(l.v.weight()),
         .o = w.matrix(l.o.weight()),
         .gate = w.matrix(l.gate.weight()),
         .up = w.matrix(l.up.weight()),
         .down = w.matrix(l.down.weight())});
  }
  kernel.norm = w.floats(norm_);
  kernel.ready = true;
}

kernels::OpCost Decoder::kernel_cost(int rows) const {
  return {2 * rows * kernel_->weights.count(), kernel_->weights.bytes()};
}

void Decoder::step_cpu(
    const float* x,
    int steps,
    std::span<KvCache* const> caches,
    float* y) const {
  std::vector<kernels::DecoderStepCache> views;
  for (auto* cache : caches) {
    kernels::DecoderStepCache view{cache->length(), 0, {}, {}};
    for (int i = 0; i < config_.layers; ++i) {
      auto buffers = cache->reserve(i, steps);
      view.capacity = buffers.capacity;
      view.keys.push_back(buffers.keys);
      view.values.push_back(buffers.values);
    }
    views.push_back(std::move(view));
  }
  kernels::DecoderStepShape shape{
      config_.hidden,
      config_.intermediate,
      config_.heads,
      config_.kv_heads,
      config_.head_dim,
      rope_frequencies_.data(),
      config_.rope_interleaved,
      config_.norm_eps};
  kernels::decoder_step_cpu(
      shape, kernel_->layers, kernel_->norm, views, steps, x, y);
  for (auto* cache : caches) {
    cache->advance(steps);
  }
}

mx::array Decoder::run_kernel(
    const mx::array& x,
    std::span<KvCache* const> caches) const {
  make_kernel();
  int steps = x.shape(1);
  auto y = kernels::cpu_op(
      "decoder_step",
      {mx::astype(x, mx::float32)},
      x.shape(),
      mx::float32,
      [&](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        step_cpu(in[0].data<float>(), steps, caches, out[0].data<float>());
      },
      kernel_cost(x.shape(0) * steps));
  // At once: it writes into the caches.
  y.eval();
  return mx::astype(y, x.dtype());
}

mx::array Decoder::attention(
    const DecoderLayer& layer,
    int index,
    const mx::array& x,
    std::span<KvCache* const> caches) const {
  int batch = x.shape(0);
  int steps = x.shape(1);
  auto split = [&](const mx::array& y, int heads) {
    return mx::reshape(y, {batch, steps, heads, config_.head_dim});
  };
  auto turn = [](const mx::array& y) { // [batch, heads, steps, dim]
    return mx::transpose(y, {0, 2, 1, 3});
  };
  auto q = split(layer.q(x), config_.heads);
  auto k = split(layer.k(x), config_.kv_heads);
  auto v = turn(split(layer.v(x), config_.kv_heads));
  if (layer.q_norm) {
    q = norm(q, *layer.q_norm, config_.norm_eps);
    k = norm(k, *layer.k_norm, config_.norm_eps);
  }
  q = turn(q);
  k = turn(k);
  float scale = 1 / std::sqrt(static_cast<float>(config_.head_dim));
  std::vector<mx::array> rows;
  for (int b = 0; b < batch; ++b) {
    auto row = [&](const mx::array& y) {
      return batch == 1
          ? y
          : mx::slice(
                y, {b, 0, 0, 0}, {b + 1, y.shape(1), y.shape(2), y.shape(3)});
    };
    auto rotate = [&](const mx::array& y) {
      return mx::fast::rope(
          y,
          config_.head_dim,
          /* traditional */ config_.rope_interleaved,
          rope_periods_ ? std::nullopt
                        : std::optional<float>(config_.rope_theta),
          1.0f,
          caches[b]->length(),
          rope_periods_);
    };
    auto [keys, values] = caches[b]->append(index, rotate(row(k)), row(v));
    auto bias = window_bias(steps, keys.shape(2), config_.window);
    if (bias) {
      bias = mx::astype(*bias, q.dtype());
    }
    bool causal = !bias && steps > 1;
    rows.push_back(
        kernels::attention(
            rotate(row(q)),
            keys,
            values,
            scale,
            causal ? kernels::Mask::causal : kernels::Mask::none,
            bias));
  }
  auto y = batch == 1 ? rows[0] : mx::concatenate(rows, 0);
  return layer.o(mx::reshape(turn(y), {batch, steps, -1}));
}

mx::array Decoder::operator()(
    const mx::array& x,
    std::span<KvCache* const> caches) const {
  if (runs_as_kernel()) {
    return run_kernel(x, caches);
  }
  auto h = x;
  for (int i = 0; i < config_.layers; ++i) {
    const DecoderLayer& layer = layers_[i];
    auto y = norm(h, layer.input_norm, config_.norm_eps);
    h = h + scaled(attention(layer, i, y, caches), layer.attention_scale);
    y = norm(h, layer.post_norm, config_.norm_eps);
    y = layer.gate(y, Activation::silu) * layer.up(y);
    h = h + scaled(layer.down(y), layer.mlp_scale);
  }
  for (auto* cache : caches) {
    cache->advance(x.shape(1));
  }
  return norm(h, norm_, config_.norm_eps);
}

} // namespace mlx_audio::nn
