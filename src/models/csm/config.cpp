#include "models/csm/config.h"

#include <filesystem>
#include <map>

#include "checkpoint/json.h"

namespace mlx_audio::csm {

namespace {

using nn::ConfigReader;

constexpr int kMaxWidth = 1 << 16;
constexpr int kContext = 2048;

nn::RopeScaling rope_scaling(const ConfigReader& c) {
  std::string type = c.text("rope_type", "llama3");
  if (type != "llama3") {
    c.refuse("rope_type", "\"llama3\", the only one there is code for");
  }
  nn::RopeScaling s;
  s.factor = c.number("factor", 1, 1e6, s.factor);
  s.low = c.number("low_freq_factor", 1e-9, 1e6, s.low);
  s.high = c.number("high_freq_factor", 1e-9, 1e6, s.high);
  s.context = c.number("original_max_position_embeddings", 1, 1e9, s.context);
  if (s.high <= s.low) {
    c.refuse("high_freq_factor", "above low_freq_factor");
  }
  return s;
}

// The sizes that the original's code has by name.
nn::DecoderConfig flavor(const ConfigReader& c, const char* field) {
  static const std::map<std::string, nn::DecoderConfig> flavors = {
      {"llama-1B",
       {.layers = 16,
        .hidden = 2048,
        .intermediate = 8192,
        .heads = 32,
        .kv_heads = 8,
        .head_dim = 64}},
      {"llama-100M",
       {.layers = 4,
        .hidden = 1024,
        .intermediate = 8192,
        .heads = 8,
        .kv_heads = 2,
        .head_dim = 128}},
      {"llama-8B",
       {.layers = 32,
        .hidden = 4096,
        .intermediate = 14336,
        .heads = 32,
        .kv_heads = 8,
        .head_dim = 128}},
      {"llama-300M",
       {.layers = 8,
        .hidden = 1536,
        .intermediate = 6912,
        .heads = 24,
        .kv_heads = 6,
        .head_dim = 64}},
  };
  auto found = flavors.find(c.text(field, ""));
  if (found == flavors.end()) {
    std::string known;
    for (const auto& [name, sizes] : flavors) {
      known += (known.empty() ? "one of " : ", ") + name;
    }
    c.refuse(field, known);
  }
  nn::DecoderConfig d = found->second;
  d.rope_theta = 500000;
  d.norm_eps = 1e-5f;
  d.rope_scaling = nn::RopeScaling{};
  return d;
}

nn::DecoderConfig explicit_sizes(const ConfigReader& c) {
  nn::DecoderConfig d;
  d.layers = c.integer("num_hidden_layers", 1, 256);
  d.hidden = c.integer("hidden_size", 1, kMaxWidth);
  d.intermediate = c.integer("intermediate_size", 1, 4 * kMaxWidth);
  d.heads = c.integer("num_attention_heads", 1, 1024);
  d.kv_heads = c.integer("num_key_value_heads", 1, 1024, d.heads);
  d.head_dim = c.integer("head_dim", 2, 1024, std::max(2, d.hidden / d.heads));
  d.rope_theta = static_cast<float>(c.number("rope_theta", 1, 1e12, 5e5));
  d.norm_eps = static_cast<float>(c.number("rms_norm_eps", 0, 1, 1e-5));
  if (c.has("rope_scaling")) {
    d.rope_scaling = rope_scaling(c.object("rope_scaling"));
  }
  if (d.heads % d.kv_heads != 0) {
    c.refuse("num_key_value_heads", "a divisor of num_attention_heads");
  }
  if (d.head_dim % 2 != 0) {
    c.refuse("head_dim", "even");
  }
  for (const char* bias : {"attention_bias", "mlp_bias"}) {
    if (c.boolean(bias, false)) {
      c.refuse(bias, "false, the only one there is code for");
    }
  }
  return d;
}

} // namespace

Config parse_config(const nlohmann::json& json) {
  ConfigReader c(json, "config.json");
  Config config;
  // As in mlx-audio, sizes win over names.
  if (c.has("hidden_size") && c.has("depth_decoder_config")) {
    config.backbone = explicit_sizes(c);
    config.depth = explicit_sizes(c.object("depth_decoder_config"));
    config.context =
        c.integer("max_position_embeddings", 16, 1 << 20, kContext);
  } else {
    config.backbone = flavor(c, "backbone_flavor");
    config.depth = flavor(c, "decoder_flavor");
    config.context = kContext;
  }
  config.backbone.rope_interleaved = config.depth.rope_interleaved = true;
  auto either = [&](const char* field, const char* other, int low, int high) {
    return c.integer(c.has(field) ? field : other, low, high);
  };
  config.text_vocab = c.integer("text_vocab_size", 1, 1 << 22);
  config.vocab = either("audio_vocab_size", "vocab_size", 2, 1 << 16);
  config.groups = either("audio_num_codebooks", "num_codebooks", 2, 64);
  if (c.has("codec_config")) {
    auto codec = c.object("codec_config");
    config.codec = codecs::mimi::parse_config(codec, config.groups);
    if (codec.integer("sampling_rate", 24000, 24000, 24000) != 24000 ||
        config.codec.frame_samples() != 1920) {
      codec.refuse("upsampling_ratios", "those of 12.5 frames a second");
    }
  } else {
    config.codec.used_quantizers = config.groups;
    if (config.groups > config.codec.quantizers) {
      c.refuse("audio_num_codebooks", "at most the 32 of Mimi");
    }
  }
  if (config.codec.codebook > config.vocab) {
    c.refuse("audio_vocab_size", "at least the codec's codebook_size");
  }
  config.speaker_prefix_space = c.boolean("speaker_prefix_space", false);
  config.own_text_template = !c.text("text_tokenizer", "").empty();
  config.voice_match = c.boolean("voice_match", false);
  config.use_default_voice = c.boolean("use_default_voice_prompt", true);
  return config;
}

Config read_config(const std::string& folder) {
  return parse_config(checkpoint::read_json(folder + "/config.json"));
}

GenerationConfig read_generation_config(const std::string& folder) {
  GenerationConfig g;
  std::string path = folder + "/generation_config.json";
  if (!std::filesystem::exists(path)) {
    return g;
  }
  ConfigReader c(checkpoint::read_json(path), "generation_config.json");
  auto real = [&](const char* field, float& value) {
    value = static_cast<float>(c.number(field, 0, 100, value));
  };
  g.do_sample = c.boolean("do_sample", g.do_sample);
  real("temperature", g.temperature);
  g.top_k = c.integer("top_k", 0, 1 << 20, g.top_k);
  g.depth_do_sample = c.boolean("depth_decoder_do_sample", g.depth_do_sample);
  real("depth_decoder_temperature", g.depth_temperature);
  g.depth_top_k = c.integer("depth_decoder_top_k", 0, 1 << 20, g.depth_top_k);
  return g;
}

} // namespace mlx_audio::csm
