// Qwen3-TTS's codec at full size with random bf16 weights: codes to samples in
// a stream's chunks, one after the other, weights packed before. `x_real_time`
// is seconds of audio a second.
#include "codecs/qwen3_tokenizer/decoder.h"

#include <benchmark/benchmark.h>

#include "kernels/cpu_op.h"

namespace mlx_audio::codecs::qwen3 {
namespace {

constexpr int kFrameSamples = 1920;
constexpr double kRate = 24000;

DecoderConfig released_config() {
  DecoderConfig c;
  c.groups = 16;
  c.codebook = 2048;
  c.codebook_dim = 512;
  c.latent = 1024;
  c.channels = 1536;
  c.transformer = {
      .layers = 8,
      .hidden = 512,
      .intermediate = 1024,
      .heads = 16,
      .kv_heads = 16,
      .head_dim = 64,
      .norm_eps = 1e-5f,
      .layer_scale = true,
      .window = 72};
  c.upsampling_ratios = {2, 2};
  c.upsample_rates = {8, 5, 4, 3};
  return c;
}

// Random tensors, in torch's layout.
class Maker {
 public:
  void random(const std::string& name, const mx::Shape& shape, float scale) {
    auto [next, key] = mx::random::split(key_);
    key_ = next;
    tensors_.insert_or_assign(
        name,
        mx::astype(
            mx::array(scale) *
                mx::random::normal(shape, mx::float32, mx::array(key)),
            mx::bfloat16));
  }
  void ones(const std::string& name, int size) {
    tensors_.insert_or_assign(name, mx::ones({size}, mx::bfloat16));
  }
  void linear(const std::string& path, int out, int in, bool bias = false) {
    random(path + ".weight", {out, in}, std::pow(in, -0.5f));
    if (bias) {
      random(path + ".bias", {out}, 0.01f);
    }
  }
  // `shape` [out, in, kernel]; `transposed`: [in, out, kernel].
  void conv(const std::string& path, const mx::Shape& shape, int out) {
    random(
        path + ".weight",
        shape,
        std::pow(static_cast<float>(shape[1] * shape[2]), -0.5f));
    random(path + ".bias", {out}, 0.01f);
  }
  void snake(const std::string& path, int channels) {
    random(path + ".alpha", {channels}, 0.1f);
    random(path + ".beta", {channels}, 0.1f);
  }
  nn::Weights weights() const {
    return {tensors_, "random weights"};
  }

 private:
  std::map<std::string, mx::array> tensors_;
  mx::array key_ = mx::random::key(0);
};

void add_transformer(
    Maker& m,
    const std::string& path,
    const DecoderConfig& c) {
  const auto& t = c.transformer;
  const int width = t.heads * t.head_dim;
  m.linear(path + ".input_proj", t.hidden, c.latent, true);
  m.linear(path + ".output_proj", c.latent, t.hidden, true);
  m.ones(path + ".norm.weight", t.hidden);
  for (int i = 0; i < t.layers; ++i) {
    std::string at = path + ".layers." + std::to_string(i);
    for (const char* name : {"q", "k", "v"}) {
      m.linear(at + ".self_attn." + name + "_proj", width, t.hidden);
    }
    m.linear(at + ".self_attn.o_proj", t.hidden, width);
    m.linear(at + ".mlp.gate_proj", t.intermediate, t.hidden);
    m.linear(at + ".mlp.up_proj", t.intermediate, t.hidden);
    m.linear(at + ".mlp.down_proj", t.hidden, t.intermediate);
    for (const char* name :
         {"input_layernorm.weight",
          "post_attention_layernorm.weight",
          "self_attn_layer_scale.scale",
          "mlp_layer_scale.scale"}) {
      m.ones(at + "." + name, t.hidden);
    }
  }
}

nn::Weights random_weights(const DecoderConfig& c) {
  Maker m;
  const int half = c.codebook_dim / 2;
  for (int i = 0; i < c.groups; ++i) {
    std::string at = i == 0
        ? "d.quantizer.rvq_first.vq.layers.0"
        : "d.quantizer.rvq_rest.vq.layers." + std::to_string(i - 1);
    m.random(at + "._codebook.embedding_sum", {c.codebook, half}, 0.3f);
    m.ones(at + "._codebook.cluster_usage", c.codebook);
  }
  for (const char* part : {"rvq_first", "rvq_rest"}) {
    m.random(
        std::string("d.quantizer.") + part + ".output_proj.weight",
        {c.codebook_dim, half, 1},
        0.06f);
  }
  m.conv("d.pre_conv.conv", {c.latent, c.codebook_dim, 3}, c.latent);
  add_transformer(m, "d.pre_transformer", c);
  for (int i = 0; i < 2; ++i) {
    std::string at = "d.upsample." + std::to_string(i);
    m.conv(at + ".0.conv", {c.latent, c.latent, 2}, c.latent);
    m.conv(at + ".1.dwconv.conv", {c.latent, 1, 7}, c.latent);
    m.ones(at + ".1.norm.weight", c.latent);
    m.random(at + ".1.norm.bias", {c.latent}, 0.01f);
    m.linear(at + ".1.pwconv1", 4 * c.latent, c.latent, true);
    m.linear(at + ".1.pwconv2", c.latent, 4 * c.latent, true);
    m.ones(at + ".1.gamma", c.latent);
  }
  m.conv("d.decoder.0.conv", {c.channels, c.latent, 7}, c.channels);
  int width = c.channels;
  for (size_t i = 0; i < c.upsample_rates.size(); ++i, width /= 2) {
    const int out = width / 2;
    std::string at = "d.decoder." + std::to_string(i + 1) + ".block.";
    m.snake(at + "0", width);
    m.conv(at + "1.conv", {width, out, 2 * c.upsample_rates[i]}, out);
    for (const char* unit : {"2", "3", "4"}) {
      m.snake(at + unit + ".act1", out);
      m.conv(at + unit + ".conv1.conv", {out, out, 7}, out);
      m.snake(at + unit + ".act2", out);
      m.conv(at + unit + ".conv2.conv", {out, out, 1}, out);
    }
  }
  m.snake("d.decoder.5", width);
  m.random("d.decoder.6.conv.weight", {1, width, 7}, 1e-4f);
  m.random("d.decoder.6.conv.bias", {1}, 1e-4f);
  return m.weights();
}

void decode(benchmark::State& state) {
  kernels::keep_freed_memory();
  static const DecoderConfig config = released_config();
  static const Decoder decoder = [] {
    auto weights = random_weights(config);
    return Decoder(weights, "d", nn::ConvLayout::torch, config);
  }();
  const int frames = static_cast<int>(state.range(0));
  auto codes = mx::random::randint(
      0, config.codebook, {frames, config.groups}, mx::int32);
  codes.eval();
  Decoder::State past;
  auto step = [&] {
    std::vector<mx::array> results{decoder(codes, past)};
    for (const auto& p : past.pasts) {
      if (p) {
        results.push_back(*p);
      }
    }
    mx::eval(results);
  };
  step(); // what is made at the first call
  for (auto _ : state) {
    step();
  }
  state.counters["x_real_time"] = benchmark::Counter(
      frames * kFrameSamples / kRate,
      benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(decode)
    ->ArgName("frames")
    ->Arg(1)
    ->Arg(4)
    ->Arg(25)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1);

} // namespace
} // namespace mlx_audio::codecs::qwen3
