#include "models/vibevoice_asr/config.h"

#include <filesystem>

#include "checkpoint/json.h"

namespace mlx_audio::vibevoice_asr {

namespace {

using nn::ConfigReader;

constexpr int kMaxWidth = 1 << 16;
constexpr int kMaxFrames = 1 << 12; // of a chunk

nn::DecoderConfig decoder_config(const ConfigReader& c) {
  nn::DecoderConfig d;
  d.layers = c.integer("num_hidden_layers", 1, 256);
  d.hidden = c.integer("hidden_size", 1, kMaxWidth);
  d.intermediate = c.integer("intermediate_size", 1, 4 * kMaxWidth);
  d.heads = c.integer("num_attention_heads", 1, 1024);
  d.kv_heads = c.integer("num_key_value_heads", 1, 1024, d.heads);
  d.head_dim = c.integer("head_dim", 1, 1024, std::max(1, d.hidden / d.heads));
  d.rope_theta = static_cast<float>(c.number("rope_theta", 1, 1e12, 1e6));
  d.norm_eps = static_cast<float>(c.number("rms_norm_eps", 0, 1, 1e-6));
  d.qkv_bias = true;
  if (d.heads % d.kv_heads != 0) {
    c.refuse("num_key_value_heads", "a divisor of num_attention_heads");
  }
  if (d.head_dim % 2 != 0) {
    c.refuse("head_dim", "even");
  }
  if (c.text("hidden_act", "silu") != "silu") {
    c.refuse("hidden_act", "'silu', the only one there is code for");
  }
  for (const char* field : {"use_sliding_window", "use_mrope"}) {
    if (c.boolean(field, false)) {
      c.refuse(field, "false, the only one there is code for");
    }
  }
  if (c.has("rope_scaling")) {
    c.refuse("rope_scaling", "null, the only one there is code for");
  }
  return d;
}

// What converted checkpoints may hold in either file.
void read_preparation(const ConfigReader& c, Config& config) {
  config.sample_rate =
      c.integer("target_sample_rate", 8000, 192000, config.sample_rate);
  config.normalize = c.boolean("normalize_audio", config.normalize);
  config.loudness = c.number("target_dB_FS", -100, 0, config.loudness);
  config.eps = c.number("eps", 0, 1, config.eps);
  config.chunk_frames =
      c.integer("chunk_frames", 1, kMaxFrames, config.chunk_frames);
  config.lookahead_frames =
      c.integer("lookahead_frames", 0, kMaxFrames, config.lookahead_frames);
  if (c.integer("speech_tok_compress_ratio", 1, 1 << 20, config.hop()) !=
      config.hop()) {
    c.refuse(
        "speech_tok_compress_ratio",
        "the product of encoder_ratios, " + std::to_string(config.hop()));
  }
}

} // namespace

Config parse_config(
    const nlohmann::json& json,
    const nlohmann::json& preprocessor) {
  ConfigReader c(json, "config.json");
  Config config;
  config.acoustic = codecs::vibevoice::parse_encoder_config(
      c.object("acoustic_tokenizer_config"));
  config.semantic = codecs::vibevoice::parse_encoder_config(
      c.object("semantic_tokenizer_config"));
  auto expect_dim = [&](const char* field, int dim) {
    if (c.integer(field, 1, kMaxWidth, dim) != dim) {
      c.refuse(field, "its tokenizer's vae_dim, " + std::to_string(dim));
    }
  };
  expect_dim("acoustic_vae_dim", config.acoustic.dim);
  expect_dim("semantic_vae_dim", config.semantic.dim);
  if (config.semantic.hop() != config.acoustic.hop()) {
    c.refuse(
        "semantic_tokenizer_config",
        "one whose encoder_ratios have the product of the acoustic ones");
  }
  ConfigReader d = c.object("decoder_config");
  config.decoder = decoder_config(d);
  config.vocab = d.integer("vocab_size", 1, 1 << 22);
  config.tied =
      d.boolean("tie_word_embeddings", c.boolean("tie_word_embeddings", false));
  config.context = d.integer("max_position_embeddings", 16, 1 << 24, 131072);
  read_preparation(c, config);
  if (preprocessor.is_object()) {
    read_preparation(
        ConfigReader(preprocessor, "preprocessor_config.json"), config);
  }
  return config;
}

Config read_config(const std::string& folder) {
  std::string path = folder + "/preprocessor_config.json";
  return parse_config(
      checkpoint::read_json(folder + "/config.json"),
      std::filesystem::exists(path) ? checkpoint::read_json(path)
                                    : nlohmann::json());
}

} // namespace mlx_audio::vibevoice_asr
