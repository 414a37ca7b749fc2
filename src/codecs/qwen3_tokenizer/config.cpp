#include "codecs/qwen3_tokenizer/config.h"

namespace mlx_audio::codecs::qwen3 {

namespace {

using nn::ConfigReader;

constexpr int kMaxWidth = 1 << 14;

DecoderConfig decoder_config(const ConfigReader& c) {
  DecoderConfig d;
  d.groups = c.integer("num_quantizers", 2, 64);
  d.codebook = c.integer("codebook_size", 1, 1 << 20);
  d.codebook_dim = c.integer("codebook_dim", 2, kMaxWidth);
  d.latent = c.integer("latent_dim", 1, kMaxWidth);
  d.channels = c.integer("decoder_dim", 1, kMaxWidth);
  d.upsampling_ratios = c.integers("upsampling_ratios", 1, 64);
  d.upsample_rates = c.integers("upsample_rates", 1, 64);
  if (c.integer("num_semantic_quantizers", 1, 1, 1) != 1) {
    c.refuse("num_semantic_quantizers", "1");
  }
  if (d.codebook_dim % 2 != 0) {
    c.refuse("codebook_dim", "even");
  }
  if (d.upsample_rates.size() > 12 ||
      d.channels % (1 << d.upsample_rates.size()) != 0) {
    c.refuse("decoder_dim", "divisible by 2 for each of upsample_rates");
  }
  auto& t = d.transformer;
  t.layers = c.integer("num_hidden_layers", 1, 128);
  t.hidden = c.integer("hidden_size", 1, kMaxWidth);
  t.intermediate = c.integer("intermediate_size", 1, 4 * kMaxWidth);
  t.heads = c.integer("num_attention_heads", 1, 256);
  t.kv_heads = c.integer("num_key_value_heads", 1, 256, t.heads);
  t.head_dim = c.integer("head_dim", 2, 1024, std::max(2, t.hidden / t.heads));
  t.rope_theta = static_cast<float>(c.number("rope_theta", 1, 1e12, 1e4));
  t.norm_eps = static_cast<float>(c.number("rms_norm_eps", 0, 1, 1e-5));
  t.layer_scale = true;
  t.window = c.integer("sliding_window", 2, 1 << 20, 72);
  if (t.heads % t.kv_heads != 0) {
    c.refuse("num_key_value_heads", "a divisor of num_attention_heads");
  }
  return d;
}

} // namespace

Config parse_config(const nlohmann::json& json) {
  ConfigReader c(json, "speech_tokenizer/config.json");
  Config config;
  config.decoder = decoder_config(c.object("decoder_config"));
  int groups = c.integer("encoder_valid_num_quantizers", 2, 64, 16);
  config.encoder = mimi::parse_config(c.object("encoder_config"), groups);
  config.sample_rate = c.integer("output_sample_rate", 24000, 24000, 24000);
  int64_t out = 1;
  for (const auto* list :
       {&config.decoder.upsampling_ratios, &config.decoder.upsample_rates}) {
    for (int rate : *list) {
      out *= rate;
      if (out > 1 << 20) {
        c.refuse("decoder_config", "one with at most 2^20 samples a frame");
      }
    }
  }
  config.decode_samples = static_cast<int>(out);
  config.encode_samples = c.integer("encode_downsample_rate", 1, 1 << 20, 1920);
  if (groups != config.decoder.groups) {
    c.refuse("encoder_valid_num_quantizers", "decoder_config.num_quantizers");
  }
  return config;
}

} // namespace mlx_audio::codecs::qwen3
