#include "models/whisper/model.h"

#include <cmath>
#include <numeric>

#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/norm.h"
#include "mlx_audio/error.h"
#include "models/whisper/fused_linear.h"

namespace mlx_audio::whisper {

namespace {

using kernels::LinearWeight;
using nn::Activation;
using nn::Linear;
using nn::Weights;

// A linear layer's tensors, quantized now if asked to.
LinearWeight take_linear(
    Weights& weights,
    const std::string& path,
    int in,
    int out,
    int bits) {
  LinearWeight w = Linear(weights, path, in, out).weight();
  if (bits == 0 || w.quantized() || in % 64 != 0) {
    return w;
  }
  auto parts = mx::quantize(mx::astype(w.weight, mx::float32), 64, bits);
  return {
      .weight = parts[0],
      .bias = w.bias,
      .scales = parts[1],
      .biases = parts[2],
      .group_size = 64,
      .bits = bits,
      .paths = w.paths};
}

FusedLinear take_fused(
    Weights& weights,
    const std::string& path,
    std::initializer_list<const char*> names,
    int width,
    int bits) {
  std::vector<LinearWeight> parts;
  for (const char* name : names) {
    parts.push_back(
        take_linear(weights, path + "." + name, width, width, bits));
  }
  return FusedLinear(parts);
}

Linear
take(Weights& weights, const std::string& path, int in, int out, int bits) {
  return Linear(take_linear(weights, path, in, out, bits));
}

// A convolution over three frames as a linear layer of them side by side, which
// is exact and takes GELU along.
Linear take_convolution(
    Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out) {
  bool torch = layout == nn::ConvLayout::torch;
  auto w = weights.take(
      path + ".weight", torch ? mx::Shape{out, in, 3} : mx::Shape{out, 3, in});
  if (torch) {
    w = mx::transpose(w, {0, 2, 1});
  }
  return Linear(
      LinearWeight{
          .weight = mx::contiguous(mx::reshape(w, {out, 3 * in})),
          .bias = weights.take(path + ".bias", {out})});
}

// Every `stride`-th frame with its neighbours: [batch, time, width] ->
// [batch, time / stride, 3 width]; beyond the ends lies silence.
mx::array triples(const mx::array& x, int stride) {
  int batch = x.shape(0);
  int time = x.shape(1);
  int width = x.shape(2);
  auto padded = mx::pad(x, {{0, 0}, {1, 1}, {0, 0}});
  std::vector<mx::array> parts;
  for (int i = 0; i < 3; ++i) {
    parts.push_back(
        mx::slice(padded, {0, i, 0}, {batch, i + time, width}, {1, stride, 1}));
  }
  return mx::concatenate(parts, -1);
}

// [batch, time, heads dim] -> [batch, heads, time, dim]
mx::array split_heads(const mx::array& x, int heads) {
  return mx::transpose(
      mx::reshape(x, {x.shape(0), x.shape(1), heads, x.shape(2) / heads}),
      {0, 2, 1, 3});
}

mx::array merge_heads(const mx::array& x) {
  return mx::reshape(
      mx::transpose(x, {0, 2, 1, 3}),
      {x.shape(0), x.shape(2), x.shape(1) * x.shape(3)});
}

// Positions as sines, then cosines (the original's `sinusoids`).
mx::array sinusoids(int length, int channels) {
  std::vector<float> table(
      static_cast<size_t>(length) * static_cast<size_t>(channels));
  int half = channels / 2;
  double step = std::log(10000.0) / (half - 1);
  for (int t = 0; t < length; ++t) {
    for (int c = 0; c < half; ++c) {
      double angle = t * std::exp(-step * c);
      auto at = static_cast<size_t>(t * channels + c);
      table[at] = static_cast<float>(std::sin(angle));
      table[at + static_cast<size_t>(half)] =
          static_cast<float>(std::cos(angle));
    }
  }
  return mx::array(table.begin(), {length, channels});
}

float attention_scale(int width, int heads) {
  int head = width / heads;
  return 1.0f / std::sqrt(static_cast<float>(head));
}

} // namespace

// Layer norm, whose weights go into packed layers too.
struct WhisperModel::Norm {
  mx::array weight;
  mx::array bias;

  Norm(Weights& w, const std::string& path, int width)
      : weight(w.take(path + ".weight", {width})),
        bias(w.take(path + ".bias", {width})) {}

  mx::array operator()(const mx::array& x) const {
    return kernels::layer_norm(x, weight, bias, 1e-5f);
  }
};

struct WhisperModel::EncoderBlock {
  Norm attention_norm;
  FusedLinear qkv;
  Linear out;
  Norm mlp_norm;
  Linear mlp1;
  Linear mlp2;

  EncoderBlock(Weights& w, const std::string& path, int width, int bits)
      : attention_norm(w, path + ".attn_ln", width),
        qkv(take_fused(
            w,
            path + ".attn",
            {"query", "key", "value"},
            width,
            bits)),
        out(take(w, path + ".attn.out", width, width, bits)),
        mlp_norm(w, path + ".mlp_ln", width),
        mlp1(take(w, path + ".mlp1", width, 4 * width, bits)),
        mlp2(take(w, path + ".mlp2", 4 * width, width, bits)) {}
};

struct WhisperModel::DecoderBlock {
  Norm attention_norm;
  FusedLinear qkv;
  Linear out;
  Norm cross_norm;
  Linear cross_query;
  FusedLinear cross_kv;
  Linear cross_out;
  Norm mlp_norm;
  Linear mlp1;
  Linear mlp2;

  DecoderBlock(Weights& w, const std::string& path, int width, int bits)
      : attention_norm(w, path + ".attn_ln", width),
        qkv(take_fused(
            w,
            path + ".attn",
            {"query", "key", "value"},
            width,
            bits)),
        out(take(w, path + ".attn.out", width, width, bits)),
        cross_norm(w, path + ".cross_attn_ln", width),
        cross_query(take(w, path + ".cross_attn.query", width, width, bits)),
        // Read once a window over 1500 rows: bound by arithmetic, not memory.
        cross_kv(
            take_fused(w, path + ".cross_attn", {"key", "value"}, width, 0)),
        cross_out(take(w, path + ".cross_attn.out", width, width, bits)),
        mlp_norm(w, path + ".mlp_ln", width),
        mlp1(take(w, path + ".mlp1", width, 4 * width, bits)),
        mlp2(take(w, path + ".mlp2", 4 * width, width, bits)) {}
};

WhisperModel::~WhisperModel() = default;
WhisperModel::WhisperModel(WhisperModel&&) noexcept = default;

WhisperModel::WhisperModel(
    const WhisperConfig& config,
    Checkpoint checkpoint,
    const Precision& precision /* = {} */)
    : config_(config),
      precision_(precision),
      audio_positions_(0.0f),
      text_positions_(0.0f) {
  auto& w = checkpoint.weights;
  int audio = config.n_audio_state;
  int text = config.n_text_state;
  conv1_ = std::make_unique<Linear>(take_convolution(
      w, "encoder.conv1", checkpoint.convolutions, config.n_mels, audio));
  conv2_ = std::make_unique<Linear>(take_convolution(
      w, "encoder.conv2", checkpoint.convolutions, audio, audio));
  auto positions = w.take_optional(
      "encoder.positional_embedding", {config.n_audio_ctx, audio});
  for (int i = 0; i < config.n_audio_layer; ++i) {
    encoder_.emplace_back(
        w,
        "encoder.blocks." + std::to_string(i),
        audio,
        precision.encoder_bits);
  }
  encoder_norm_ = std::make_unique<Norm>(w, "encoder.ln_post", audio);
  embedding_ = std::make_unique<nn::Embedding>(
      w, "decoder.token_embedding", config.n_vocab, text);
  projection_ = std::make_unique<Linear>(take_linear(
      w,
      "decoder.token_embedding",
      text,
      config.n_vocab,
      precision.decoder_bits));
  auto text_positions =
      w.take("decoder.positional_embedding", {config.n_text_ctx, text});
  text_positions_ = mx::astype(text_positions, precision.activations);
  // mlx-community's layout leaves out the encoder's; the original's are rounded
  // to the type of all its weights.
  audio_positions_ = mx::astype(
      positions
          ? *positions
          : mx::astype(
                sinusoids(config.n_audio_ctx, audio), text_positions.dtype()),
      precision.activations);
  for (int i = 0; i < config.n_text_layer; ++i) {
    decoder_.emplace_back(
        w, "decoder.blocks." + std::to_string(i), text, precision.decoder_bits);
  }
  decoder_norm_ = std::make_unique<Norm>(w, "decoder.ln", text);
  w.expect_all_taken();
  // All Whispers have heads of 64; packed attention is made for them.
  bool heads_fit =
      audio == 64 * config.n_audio_head && text == 64 * config.n_text_head;
  if (precision.packed && precision.activations == mx::float32 &&
      !precision.precise_memory && precision.decoder_bits == 0 && heads_fit &&
      kernels::packed_available()) {
    pack(*precision.packed);
  }
}

void WhisperModel::pack(PackedMode mode) {
  using kernels::PackedLinear;
  auto linear = [mode](const Linear& l) {
    return PackedLinear(packed_type(mode, l.weight()), l.weight());
  };
  auto fused = [mode](const FusedLinear& l) {
    auto weight = l.joined();
    return PackedLinear(packed_type(mode, weight), weight);
  };
  auto convolution = [mode](const Linear& l) {
    return PackedLinear(packed_convolution_type(mode, l.weight()), l.weight());
  };
  auto norm = [](const Norm& n) {
    return kernels::pack_norm(n.weight, n.bias, 1e-5f);
  };
  auto encoder = std::make_shared<PackedEncoder>();
  encoder->mode = mode;
  encoder->heads = config_.n_audio_head;
  encoder->context = config_.n_audio_ctx;
  encoder->conv1 = convolution(*conv1_);
  encoder->conv2 = convolution(*conv2_);
  auto positions = mx::contiguous(mx::astype(audio_positions_, mx::float32));
  positions.eval();
  encoder->positions.assign(
      positions.data<float>(), positions.data<float>() + positions.size());
  for (auto& block : encoder_) {
    encoder->layers.push_back(
        {norm(block.attention_norm),
         fused(block.qkv),
         linear(block.out),
         norm(block.mlp_norm),
         linear(block.mlp1),
         linear(block.mlp2)});
  }
  encoder->norm = norm(*encoder_norm_);
  packed_encoder_ = std::move(encoder);
  encoder_.clear(); // the decoder's stay for align()
  conv1_.reset();
  conv2_.reset();

  auto decoder = std::make_shared<PackedDecoder>();
  decoder->mode = mode;
  decoder->heads = config_.n_text_head;
  for (const auto& block : decoder_) {
    decoder->layers.push_back(
        {norm(block.attention_norm),
         fused(block.qkv),
         linear(block.out),
         norm(block.cross_norm),
         linear(block.cross_query),
         fused(block.cross_kv),
         linear(block.cross_out),
         norm(block.mlp_norm),
         linear(block.mlp1),
         linear(block.mlp2)});
  }
  decoder->norm = norm(*decoder_norm_);
  decoder->projection = linear(*projection_);
  packed_decoder_ = std::move(decoder);
}

mx::array WhisperModel::encode(const mx::array& mel) const {
  if (packed_encoder_) {
    return packed_encode(packed_encoder_, mel);
  }
  auto x = mx::astype(mel, precision_.activations);
  x = (*conv1_)(triples(x, 1), Activation::gelu);
  x = (*conv2_)(triples(x, 2), Activation::gelu);
  x = x + audio_positions_;
  int heads = config_.n_audio_head;
  float scale = attention_scale(config_.n_audio_state, heads);
  for (const auto& block : encoder_) {
    auto qkv = mx::split(block.qkv(block.attention_norm(x)), 3, -1);
    auto seen = kernels::attention(
        split_heads(qkv[0], heads),
        split_heads(qkv[1], heads),
        split_heads(qkv[2], heads),
        scale);
    x = x + block.out(merge_heads(seen));
    x = x + block.mlp2(block.mlp1(block.mlp_norm(x), Activation::gelu));
  }
  return (*encoder_norm_)(x);
}

AudioMemory WhisperModel::remember(const mx::array& audio) const {
  AudioMemory memory;
  memory.reserve(decoder_.size());
  if (packed_decoder_) {
    auto arrays = packed_remember(packed_decoder_, audio);
    for (size_t i = 0; i < arrays.size(); i += 2) {
      memory.push_back({arrays[i], arrays[i + 1]});
    }
    return memory;
  }
  for (const auto& block : decoder_) {
    memory.push_back(
        kernels::make_cross_memory(
            block.cross_kv(audio),
            config_.n_text_head,
            precision_.precise_memory));
  }
  return memory;
}

mx::array WhisperModel::decode(const mx::array& tokens, DecoderState& state)
    const {
  int from = state.length();
  int steps = tokens.shape(1);
  if (from + steps > config_.n_text_ctx) {
    throw Error(
        ErrorKind::internal,
        "decoder position " + std::to_string(from + steps) + " beyond " +
            std::to_string(config_.n_text_ctx));
  }
  auto positions = mx::slice(
      text_positions_, {from, 0}, {from + steps, config_.n_text_state});
  auto x =
      mx::astype((*embedding_)(tokens), precision_.activations) + positions;
  if (state.packed_) {
    std::vector<mx::array> memory;
    for (const auto& layer : *state.memory_) {
      memory.push_back(layer.keys);
      memory.push_back(layer.values);
    }
    auto windows = state.windows_;
    if (windows.empty()) {
      windows.resize(static_cast<size_t>(memory[0].shape(0)));
      std::iota(windows.begin(), windows.end(), 0);
    }
    return packed_decode(
        packed_decoder_,
        state.packed_,
        x,
        memory,
        config_.n_audio_ctx,
        std::move(windows));
  }
  int heads = config_.n_text_head;
  float scale = attention_scale(config_.n_text_state, heads);
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const auto& block = decoder_[i];
    auto seen =
        state.caches_[i].attend(block.qkv(block.attention_norm(x)), scale);
    x = x + block.out(seen);
    auto heard = kernels::cross_attention(
        block.cross_query(block.cross_norm(x)),
        (*state.memory_)[i],
        heads,
        scale,
        state.windows_);
    x = x + block.cross_out(heard);
    x = x + block.mlp2(block.mlp1(block.mlp_norm(x), Activation::gelu));
  }
  return (*decoder_norm_)(x);
}

mx::array WhisperModel::logits(const mx::array& hidden) const {
  if (packed_decoder_) {
    return kernels::packed_linear(
        "whisper_logits",
        hidden,
        {packed_decoder_, &packed_decoder_->projection});
  }
  return mx::astype((*projection_)(hidden), mx::float32);
}

WhisperModel::Alignment WhisperModel::align(
    const mx::array& tokens,
    const mx::array& audio) const {
  int steps = tokens.shape(1);
  int width = config_.n_text_state;
  int heads = config_.n_text_head;
  float scale = attention_scale(width, heads);
  auto x = mx::astype((*embedding_)(tokens), precision_.activations) +
      mx::slice(text_positions_, {0, 0}, {steps, width});
  std::vector<mx::array> scores;
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const auto& block = decoder_[i];
    auto qkv = mx::split(block.qkv(block.attention_norm(x)), 3, -1);
    auto seen = kernels::attention(
        split_heads(qkv[0], heads),
        split_heads(qkv[1], heads),
        split_heads(qkv[2], heads),
        scale,
        kernels::Mask::causal);
    x = x + block.out(merge_heads(seen));
    auto kv = mx::split(block.cross_kv(audio), 2, -1);
    auto q = split_heads(block.cross_query(block.cross_norm(x)), heads);
    auto k = split_heads(kv[0], heads);
    auto heard = kernels::attention(q, k, split_heads(kv[1], heads), scale);
    for (auto [layer, head] : config_.alignment_heads) {
      if (static_cast<size_t>(layer) == i) {
        auto qh = mx::take(q, mx::array(head), 1); // [1, steps, dim]
        auto kh = mx::take(k, mx::array(head), 1);
        scores.push_back(
            mx::matmul(
                mx::astype(qh, mx::float32),
                mx::transpose(mx::astype(kh, mx::float32), {0, 2, 1})) *
            mx::array(scale));
      }
    }
    x = x + block.cross_out(merge_heads(heard));
    x = x + block.mlp2(block.mlp1(block.mlp_norm(x), Activation::gelu));
  }
  return {(*decoder_norm_)(x), mx::concatenate(scores, 0)};
}

DecoderState::DecoderState(
    const WhisperModel& model,
    std::shared_ptr<const AudioMemory> memory,
    int max_rows)
    : memory_(std::move(memory)) {
  const auto& c = model.config();
  if (model.packed_decoder_) {
    packed_ = std::make_shared<PackedCache>(
        c.n_text_layer, max_rows, c.n_text_head, c.n_text_ctx);
    return;
  }
  for (int i = 0; i < c.n_text_layer; ++i) {
    caches_.emplace_back(
        max_rows, c.n_text_head, c.n_text_state / c.n_text_head, c.n_text_ctx);
  }
}

void DecoderState::reorder(std::span<const int> sources) {
  if (packed_) {
    packed_->reorder(sources);
  }
  for (auto& cache : caches_) {
    cache.reorder(sources);
  }
}

void DecoderState::reset() {
  if (packed_) {
    packed_->length = 0;
    packed_->holders.clear();
  }
  for (auto& cache : caches_) {
    cache.reset();
  }
  windows_.clear();
}

} // namespace mlx_audio::whisper
