#include "models/qwen3_tts/config.h"

#include <filesystem>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"

namespace mlx_audio::qwen3_tts {

namespace {

using nn::ConfigReader;

constexpr int kMaxWidth = 1 << 16;

nn::DecoderConfig decoder_config(const ConfigReader& c) {
  nn::DecoderConfig d;
  d.layers = c.integer("num_hidden_layers", 1, 256);
  d.hidden = c.integer("hidden_size", 1, kMaxWidth);
  d.intermediate = c.integer("intermediate_size", 1, 4 * kMaxWidth);
  d.heads = c.integer("num_attention_heads", 1, 1024);
  d.kv_heads = c.integer("num_key_value_heads", 1, 1024, d.heads);
  d.head_dim = c.integer("head_dim", 2, 1024, std::max(2, d.hidden / d.heads));
  d.rope_theta = static_cast<float>(c.number("rope_theta", 1, 1e12, 1e6));
  d.norm_eps = static_cast<float>(c.number("rms_norm_eps", 0, 1, 1e-6));
  d.qk_norm = true;
  if (d.heads % d.kv_heads != 0) {
    c.refuse("num_key_value_heads", "a divisor of num_attention_heads");
  }
  if (d.head_dim % 2 != 0) {
    c.refuse("head_dim", "even");
  }
  if (c.boolean("attention_bias", false)) {
    c.refuse("attention_bias", "false, the only one there is code for");
  }
  if (c.boolean("use_sliding_window", false)) {
    c.refuse("use_sliding_window", "false, the only one there is code for");
  }
  return d;
}

SpeakerEncoderConfig speaker_encoder_config(const ConfigReader& c) {
  SpeakerEncoderConfig s;
  s.mel_dim = c.integer("mel_dim", 1, 1024, 128);
  s.out = c.integer("enc_dim", 1, kMaxWidth);
  s.sample_rate = c.integer("sample_rate", 24000, 24000, 24000);
  auto list =
      [&](const char* field, int high, const std::vector<int>& otherwise) {
        return c.has(field) ? c.integers(field, 1, high) : otherwise;
      };
  s.channels = list("enc_channels", kMaxWidth, {512, 512, 512, 512, 1536});
  s.kernels = list("enc_kernel_sizes", 63, {5, 3, 3, 3, 1});
  s.dilations = list("enc_dilations", 63, {1, 2, 3, 4, 1});
  s.attention = c.integer("enc_attention_channels", 1, kMaxWidth, 128);
  s.scale = c.integer("enc_res2net_scale", 2, 64, 8);
  s.se = c.integer("enc_se_channels", 1, kMaxWidth, 128);
  size_t count = s.channels.size();
  if (count < 3 || s.kernels.size() != count || s.dilations.size() != count) {
    c.refuse(
        "enc_channels", "as long as enc_kernel_sizes and enc_dilations (3+)");
  }
  for (size_t i = 1; i + 1 < count; ++i) {
    if (s.channels[i] % s.scale != 0) {
      c.refuse("enc_channels", "divisible by enc_res2net_scale");
    }
  }
  return s;
}

std::map<std::string, int>
codes(const ConfigReader& c, const char* field, int vocab) {
  std::map<std::string, int> result;
  if (!c.has(field)) {
    return result;
  }
  ConfigReader object = c.object(field);
  for (const auto& [name, value] : object.json().items()) {
    // Each is a row of the codec embedding.
    if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
        value.get<int64_t>() >= vocab) {
      c.refuse(field, "names with codes below vocab_size");
    }
    result[name] = value.get<int>();
  }
  return result;
}

} // namespace

const char* to_string(Kind kind) {
  switch (kind) {
    case Kind::base:
      return "base";
    case Kind::custom_voice:
      return "custom_voice";
    default:
      return "voice_design";
  }
}

Config parse_config(const nlohmann::json& json) {
  ConfigReader c(json, "config.json");
  Config config;
  std::string kind = c.text("tts_model_type", "base");
  if (kind == "base") {
    config.kind = Kind::base;
  } else if (kind == "custom_voice") {
    config.kind = Kind::custom_voice;
  } else if (kind == "voice_design") {
    config.kind = Kind::voice_design;
  } else {
    c.refuse("tts_model_type", "base, custom_voice or voice_design");
  }
  config.small = c.text("tts_model_size", "") == "0b6";
  std::string tokenizer = c.text("tokenizer_type", "qwen3_tts_tokenizer_12hz");
  if (tokenizer != "qwen3_tts_tokenizer_12hz") {
    throw Error(
        ErrorKind::unsupported,
        "config.json: speech tokenizer '" + tokenizer + "' is not supported",
        "use a checkpoint with qwen3_tts_tokenizer_12hz");
  }

  ConfigReader t = c.object("talker_config");
  config.talker = decoder_config(t);
  config.vocab = t.integer("vocab_size", 1025, 1 << 20);
  config.groups = t.integer("num_code_groups", 2, 64);
  config.text_vocab = t.integer("text_vocab_size", 1, 1 << 22);
  config.text_hidden = t.integer("text_hidden_size", 1, kMaxWidth);
  config.context = t.integer("max_position_embeddings", 16, 1 << 24, 32768);
  auto code = [&](const char* field) {
    return t.integer(field, 0, config.vocab - 1);
  };
  config.codec_bos = code("codec_bos_id");
  config.codec_eos = code("codec_eos_token_id");
  config.codec_pad = code("codec_pad_id");
  config.codec_think = code("codec_think_id");
  config.codec_nothink = code("codec_nothink_id");
  config.codec_think_bos = code("codec_think_bos_id");
  config.codec_think_eos = code("codec_think_eos_id");
  config.languages = codes(t, "codec_language_id", config.vocab);
  config.speakers = codes(t, "spk_id", config.vocab);
  if (t.has("spk_is_dialect")) {
    ConfigReader dialects = t.object("spk_is_dialect");
    for (const auto& [name, value] : dialects.json().items()) {
      if (value.is_string()) {
        auto dialect = value.get<std::string>();
        if (config.languages.count(dialect) == 0) {
          t.refuse("spk_is_dialect", "names of codec_language_id");
        }
        config.dialects[name] = dialect;
      }
    }
  }

  ConfigReader p = t.object("code_predictor_config");
  config.predictor = decoder_config(p);
  config.codebook = p.integer("vocab_size", 1, config.vocab - 1024);
  if (p.integer("num_code_groups", 2, 64, config.groups) != config.groups) {
    p.refuse("num_code_groups", "that of talker_config");
  }

  auto text = [&](const char* field) {
    return c.integer(field, 0, config.text_vocab - 1);
  };
  config.im_start = text("im_start_token_id");
  config.im_end = text("im_end_token_id");
  config.tts_bos = text("tts_bos_token_id");
  config.tts_eos = text("tts_eos_token_id");
  config.tts_pad = text("tts_pad_token_id");

  if (config.kind == Kind::base) {
    config.speaker_encoder =
        speaker_encoder_config(c.object("speaker_encoder_config"));
    if (config.speaker_encoder->out != config.talker.hidden) {
      c.refuse("speaker_encoder_config", "one with enc_dim = hidden_size");
    }
  }
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
  auto real = [&](const char* field, double low, double high, float& value) {
    value = static_cast<float>(c.number(field, low, high, value));
  };
  g.do_sample = c.boolean("do_sample", g.do_sample);
  real("temperature", 0, 100, g.temperature);
  g.top_k = c.integer("top_k", 0, 1 << 20, g.top_k);
  real("top_p", 0, 1, g.top_p);
  real("repetition_penalty", 0.01, 100, g.repetition_penalty);
  g.subtalker_do_sample =
      c.boolean("subtalker_dosample", g.subtalker_do_sample);
  real("subtalker_temperature", 0, 100, g.subtalker_temperature);
  g.subtalker_top_k =
      c.integer("subtalker_top_k", 0, 1 << 20, g.subtalker_top_k);
  real("subtalker_top_p", 0, 1, g.subtalker_top_p);
  g.max_new_tokens = c.integer("max_new_tokens", 1, 1 << 24, g.max_new_tokens);
  return g;
}

} // namespace mlx_audio::qwen3_tts
