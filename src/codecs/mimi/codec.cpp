#include "codecs/mimi/codec.h"

#include <algorithm>

namespace mlx_audio::codecs::mimi {

namespace {

const std::string kPath = "mimi"; // what the tensors' new names begin with

void replace(
    std::string& name,
    const std::string& from,
    const std::string& to) {
  size_t at = name.find(from);
  if (at != std::string::npos) {
    name.replace(at, from.size(), to);
  }
}

// From moshi's names to those of transformers.
std::string renamed(std::string name) {
  for (const auto& [from, to] :
       std::initializer_list<std::pair<const char*, const char*>>{
           {"coder.model.", "coder.layers."},
           {".conv.conv.conv.", ".conv."},
           {".conv.conv.", ".conv."},
           {".convtr.convtr.convtr.", ".conv."},
           {".convtr.convtr.", ".conv."},
           {"_transformer.transformer.", "_transformer."},
           {".out_proj.", ".o_proj."},
           {".norm1.", ".input_layernorm."},
           {".norm2.", ".post_attention_layernorm."},
           {".layer_scale_1.", ".self_attn_layer_scale."},
           {".layer_scale_2.", ".mlp_layer_scale."},
           {".linear1.", ".mlp.fc1."},
           {".linear2.", ".mlp.fc2."},
           {".rvq_first.", ".semantic_residual_vector_quantizer."},
           {".rvq_rest.", ".acoustic_residual_vector_quantizer."},
           {".vq.layers.", ".layers."},
           {"._codebook._initialized", ".codebook.initialized"},
           {"._codebook.embedding_sum", ".codebook.embed_sum"},
           {"._codebook.", ".codebook."}}) {
    replace(name, from, to);
  }
  return kPath + "." + name;
}

// Rows of each head from rotary pairs (2 i, 2 i + 1) to (i, i + dim / 2).
mx::array halves_of_pairs(const mx::array& w, int heads) {
  int rows = w.shape(0);
  int columns = w.shape(1);
  auto pairs = mx::reshape(w, {heads, rows / heads / 2, 2, columns});
  return mx::reshape(mx::transpose(pairs, {0, 2, 1, 3}), {rows, columns});
}

// Query, key and value are one tensor in moshi.
void split_projections(nn::Weights& weights, const Config& c) {
  const std::string joined = "in_proj_weight";
  for (const char* part : {"encoder", "decoder"}) {
    for (int i = 0; i < c.layers; ++i) {
      std::string at = kPath + "." + part + "_transformer.layers." +
          std::to_string(i) + ".self_attn.";
      auto all = weights.take(at + joined, {3 * c.hidden, c.hidden});
      auto third = [&](int n) {
        return mx::slice(
            all, {n * c.hidden, 0}, {(n + 1) * c.hidden, c.hidden});
      };
      auto& tensors = weights.tensors();
      tensors.emplace(at + "q_proj.weight", halves_of_pairs(third(0), c.heads));
      tensors.emplace(at + "k_proj.weight", halves_of_pairs(third(1), c.heads));
      tensors.emplace(at + "v_proj.weight", third(2));
      weights.release(at + joined);
    }
  }
}

// Frames decoded at once: 2 s keep the convolutions efficient and memory small.
constexpr int kPiece = 25;

} // namespace

std::unique_ptr<Codec> Codec::load(
    const std::string& file,
    const Config& config) {
  auto weights = nn::Weights::load(file);
  weights.rename(renamed);
  split_projections(weights, config);
  auto codec = std::make_unique<Codec>(weights, config);
  weights.expect_all_taken();
  return codec;
}

Codec::Codec(nn::Weights& weights, const Config& config)
    : config_(config),
      encoder_(weights, kPath, nn::ConvLayout::torch, config),
      decoder_(
          weights,
          kPath,
          nn::ConvLayout::torch,
          config,
          encoder_.codebooks()) {}

mx::array Codec::decode(const mx::array& codes, Decoder::State& state) const {
  return decode_in_pieces(codes, state, kPiece, [&](const mx::array& piece) {
    return decoder_(piece, state);
  });
}

mx::array Codec::encode(const mx::array& samples, Taps* taps /* = nullptr */)
    const {
  auto codes = encoder_(samples, taps);
  int step = config_.frame_samples();
  int whole = (static_cast<int>(samples.size()) + step - 1) / step;
  int frames = std::min(codes.shape(0), whole);
  codes = mx::slice(codes, {0, 0}, {frames, codes.shape(1)});
  codes.eval();
  return codes;
}

} // namespace mlx_audio::codecs::mimi
