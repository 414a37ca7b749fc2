// Sizes by name and by number.
#include <gtest/gtest.h>

#include "cases.h"
#include "mlx_audio/error.h"
#include "models/csm/speech_model.h"

namespace mlx_audio::csm {
namespace {

Json named(const char* backbone, const char* decoder) {
  return {
      {"backbone_flavor", backbone},
      {"decoder_flavor", decoder},
      {"text_vocab_size", 128256},
      {"audio_vocab_size", 2051},
      {"audio_num_codebooks", 32}};
}

TEST(CsmConfig, NamesAreTheOriginalsSizes) {
  auto c = parse_config(named("llama-1B", "llama-100M"));
  EXPECT_EQ(c.backbone.layers, 16);
  EXPECT_EQ(c.backbone.hidden, 2048);
  EXPECT_EQ(c.backbone.intermediate, 8192);
  EXPECT_EQ(c.backbone.heads, 32);
  EXPECT_EQ(c.backbone.kv_heads, 8);
  EXPECT_EQ(c.backbone.head_dim, 64);
  EXPECT_EQ(c.depth.layers, 4);
  EXPECT_EQ(c.depth.hidden, 1024);
  EXPECT_EQ(c.depth.heads, 8);
  EXPECT_EQ(c.depth.kv_heads, 2);
  EXPECT_EQ(c.depth.head_dim, 128);
  for (const auto& d : {c.backbone, c.depth}) {
    EXPECT_EQ(d.rope_theta, 500000);
    EXPECT_EQ(d.norm_eps, 1e-5f);
    EXPECT_TRUE(d.rope_interleaved);
    ASSERT_TRUE(d.rope_scaling);
    EXPECT_EQ(d.rope_scaling->factor, 32);
    EXPECT_EQ(d.rope_scaling->context, 8192);
  }
  EXPECT_EQ(c.context, 2048);
  EXPECT_EQ(c.codec.frame_samples(), 1920);
  EXPECT_EQ(c.codec.used_quantizers, 32);
  EXPECT_FALSE(c.voice_match);
  EXPECT_TRUE(c.use_default_voice);

  c = parse_config(named("llama-8B", "llama-300M"));
  EXPECT_EQ(c.backbone.layers, 32);
  EXPECT_EQ(c.backbone.hidden, 4096);
  EXPECT_EQ(c.backbone.intermediate, 14336);
  EXPECT_EQ(c.depth.layers, 8);
  EXPECT_EQ(c.depth.hidden, 1536);
  EXPECT_EQ(c.depth.intermediate, 6912);
  EXPECT_EQ(c.depth.heads, 24);
  EXPECT_EQ(c.depth.kv_heads, 6);
}

TEST(CsmConfig, NumbersWinOverNames) {
  auto json = named("llama-1B", "llama-100M");
  Json sizes = {
      {"hidden_size", 48},
      {"num_hidden_layers", 3},
      {"intermediate_size", 96},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 2},
      {"head_dim", 16},
      {"rope_scaling",
       {{"factor", 32.0},
        {"low_freq_factor", 0.125},
        {"high_freq_factor", 0.5},
        {"original_max_position_embeddings", 1024}}}};
  json.update(sizes);
  sizes["hidden_size"] = 40;
  sizes.erase("rope_scaling");
  json["depth_decoder_config"] = sizes;
  auto c = parse_config(json);
  EXPECT_EQ(c.backbone.hidden, 48);
  EXPECT_EQ(c.backbone.rope_scaling->low, 0.125);
  EXPECT_EQ(c.depth.hidden, 40);
  EXPECT_FALSE(c.depth.rope_scaling);
}

TEST(CsmConfig, OtherModelsOfTheKindAreKnown) {
  auto json = named("llama-8B", "llama-300M");
  EXPECT_TRUE(matches(json));
  EXPECT_TRUE(matches({{"model_type", "csm"}}));
  EXPECT_TRUE(matches({{"model_type", "sesame"}}));
  EXPECT_FALSE(matches({{"model_type", "qwen3_tts"}}));
  json["voice_match"] = true;
  json["speaker_prefix_space"] = true;
  json["text_tokenizer"] = "some/where";
  json["use_default_voice_prompt"] = false;
  auto c = parse_config(json);
  EXPECT_TRUE(c.voice_match);
  EXPECT_TRUE(c.speaker_prefix_space);
  EXPECT_TRUE(c.own_text_template);
  EXPECT_FALSE(c.use_default_voice);
}

TEST(CsmConfig, ValuesThatCannotBeAreNamed) {
  auto refused = [](const char* field, const Json& value) {
    auto json = named("llama-1B", "llama-100M");
    json[field] = value;
    try {
      parse_config(json);
    } catch (const Error& error) {
      return std::string(error.what()).find(field) != std::string::npos;
    }
    return false;
  };
  EXPECT_TRUE(refused("backbone_flavor", "llama-2T"));
  EXPECT_TRUE(refused("audio_num_codebooks", 33)); // Mimi has 32
  EXPECT_TRUE(refused("audio_vocab_size", 2047)); // its codebooks 2048
  EXPECT_TRUE(refused("text_vocab_size", -1));
  EXPECT_TRUE(refused("audio_vocab_size", "many"));
}

} // namespace
} // namespace mlx_audio::csm
