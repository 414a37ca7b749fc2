#include "convert/convert.h"

#include <nlohmann/json.hpp>

#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"
#include "convert/kokoro.h"
#include "convert/whisper.h"
#include "unit/checkpoint/helpers.h"

namespace mlx_audio::convert {
namespace {

using checkpoint::DType;
using checkpoint::LazyTensor;
using checkpoint::SafetensorsFile;
using checkpoint::Shape;
using nlohmann::json;
using test::expect_error;
using test::read_file;
using test::write_file;

LazyTensor floats(const std::string& name, Shape shape) {
  std::vector<float> list(checkpoint::element_count(shape));
  for (size_t i = 0; i < list.size(); ++i) {
    list[i] = static_cast<float>(i % 97) / 8 - 6;
  }
  return {name, DType::float32, std::move(shape), [list] {
            return test::bytes_of(list);
          }};
}

// A model of no known rules in two shards, with a part in a subfolder.
class Convert : public testing::Test {
 protected:
  Convert() {
    std::filesystem::create_directories(folder_ / "in/part");
    checkpoint::write_sharded_safetensors(
        folder_ / "in",
        {floats("layers.0.v_proj.weight", {64, 64}),
         floats("layers.0.q_proj.weight", {64, 64}),
         floats("norm.weight", {64})},
        20000,
        {{"format", "pt"}});
    write_file(folder_ / "in/config.json", R"({"model_type":"toy","x":[1]})");
    write_file(folder_ / "in/tokenizer.json", "{}");
    write_file(folder_ / "in/run.py", "import os");
    write_file(folder_ / "in/README.md", "---\nlicense: mit\n---\n# Toy\n");
    checkpoint::write_safetensors(
        folder_ / "in/part/model.safetensors", {floats("p", {2})});
    options_.source = folder_ / "in";
    options_.output = folder_ / "out";
  }

  test::TempFolder folder_;
  ConvertOptions options_;
};

TEST_F(Convert, CopiesWhatBelongsToAModel) {
  auto report = convert(options_);
  EXPECT_EQ(report.parameters, 2u * 64 * 64 + 64);
  EXPECT_EQ(report.bytes_before, report.bytes_after);
  SafetensorsFile file(folder_ / "out/model.safetensors");
  EXPECT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.metadata().at("format"), "pt"); // the layout is not ours
  for (const char* name :
       {"out/tokenizer.json",
        "out/part/model.safetensors",
        "out/config.json",
        "out/model.safetensors.index.json"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_ / name)) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/run.py"));
  std::string card = read_file(folder_ / "out/README.md");
  EXPECT_NE(card.find("license: mit"), std::string::npos);
}

TEST_F(Convert, QuantizesAndNotesIt) {
  options_.quantize = QuantizeOptions{};
  options_.quantize->recipe = "mixed_3_6";
  options_.dtype = DType::bfloat16;
  auto report = convert(options_);
  SafetensorsFile file(folder_ / "out/model.safetensors");
  EXPECT_EQ(file.find("layers.0.v_proj.weight")->shape, (Shape{64, 12}));
  EXPECT_EQ(file.find("layers.0.q_proj.weight")->shape, (Shape{64, 6}));
  EXPECT_EQ(file.find("layers.0.q_proj.scales")->dtype, DType::bfloat16);
  auto config = json::parse(read_file(folder_ / "out/config.json"));
  EXPECT_EQ(
      config["quantization"],
      json::parse(R"({"bits":3,"group_size":64,"mode":"affine",
        "layers.0.v_proj":{"bits":6,"group_size":64,"mode":"affine"}})"));
  EXPECT_EQ(config["quantization"], config["quantization_config"]);

  // And back, by what config.json says of each layer.
  ConvertOptions back;
  back.source = folder_ / "out";
  back.output = folder_ / "back";
  back.dequantize = true;
  convert(back);
  SafetensorsFile floats(folder_ / "back/model.safetensors");
  EXPECT_EQ(floats.tensors().size(), 3u);
  EXPECT_EQ(floats.find("layers.0.v_proj.weight")->shape, (Shape{64, 64}));
  config = json::parse(read_file(folder_ / "back/config.json"));
  EXPECT_FALSE(config.contains("quantization"));

  back.output = folder_ / "twice";
  back.dequantize = false;
  back.quantize = QuantizeOptions{};
  expect_error(
      ErrorKind::invalid_argument, "quantized already", [&] { convert(back); });
}

TEST_F(Convert, SplitsLargeOutput) {
  options_.shard_bytes = 20000;
  convert(options_);
  EXPECT_TRUE(
      std::filesystem::exists(
          folder_ / "out/model-00001-of-00002.safetensors"));
}

TEST_F(Convert, ADryRunWritesNothing) {
  options_.dry_run = true;
  options_.quantize = QuantizeOptions{};
  auto report = convert(options_);
  ASSERT_EQ(report.layers.size(), 3u);
  EXPECT_LT(report.bytes_after, report.bytes_before / 4);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(Convert, LeavesNothingBehindOnErrors) {
  auto entries = [&] {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder_.path())) {
      count += entry.exists() ? 1 : 0;
    }
    return count;
  };
  // A shard that is cut after its header was read.
  std::string shard = folder_ / "in/model-00001-of-00002.safetensors";
  std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
  expect_error(
      ErrorKind::corrupt_data, "lies outside", [&] { convert(options_); });
  EXPECT_EQ(entries(), 1u);
}

TEST_F(Convert, RefusesAnOutputThatExists) {
  write_file(folder_ / "out/mine.txt", "mine");
  expect_error(ErrorKind::invalid_argument, "exists already", [&] {
    convert(options_);
  });
  EXPECT_EQ(read_file(folder_ / "out/mine.txt"), "mine");
}

TEST_F(Convert, NamesWhatIsWrong) {
  options_.dequantize = true;
  expect_error(ErrorKind::invalid_argument, "is not quantized", [&] {
    convert(options_);
  });
  options_.quantize = QuantizeOptions{};
  expect_error(ErrorKind::invalid_argument, "exclude each other", [&] {
    convert(options_);
  });
  options_ = {};
  options_.source = folder_ / "nowhere";
  expect_error(ErrorKind::not_found, "nowhere", [&] { convert(options_); });
  std::filesystem::create_directories(folder_ / "empty");
  options_.source = folder_ / "empty";
  expect_error(
      ErrorKind::not_found, "holds no weights", [&] { convert(options_); });
  write_file(
      folder_ / "in/model.safetensors.index.json",
      R"({"weight_map":{"a":"../../etc/passwd"}})");
  options_.source = folder_ / "in";
  expect_error(
      ErrorKind::corrupt_data, "../../etc/passwd", [&] { convert(options_); });
}

TEST(KokoroLayout, GoesBothWays) {
  std::vector<LazyTensor> torch = {
      floats("predictor.lstm.weight_ih_l0", {8, 4}),
      floats("predictor.lstm.bias_hh_l0_reverse", {8}),
      floats("predictor.F0_proj.weight", {1, 4, 1}),
      floats("text_encoder.cnn.0.0.weight_v", {4, 2, 5}),
      floats("text_encoder.cnn.0.0.bias", {4}),
      floats("text_encoder.cnn.0.1.gamma", {4}),
      floats("decoder.x.weight_g", {4, 1, 1})};
  auto mlx = kokoro_layout(torch, true);
  EXPECT_EQ(mlx[0].name, "predictor.lstm.Wx_forward");
  EXPECT_EQ(mlx[1].name, "predictor.lstm.bias_hh_backward");
  EXPECT_EQ(mlx[2].shape, (Shape{1, 1, 4}));
  EXPECT_EQ(mlx[3].shape, (Shape{4, 5, 2}));
  EXPECT_EQ(mlx[4].name, "text_encoder.cnn.0.0.bias");
  EXPECT_EQ(mlx[5].name, "text_encoder.cnn.0.1.weight");
  EXPECT_EQ(mlx[6].shape, (Shape{4, 1, 1}));
  EXPECT_EQ(kokoro_layout(mlx, true)[3].shape, mlx[3].shape);
  auto back = kokoro_layout(mlx, false);
  for (size_t i = 0; i < torch.size(); ++i) {
    EXPECT_EQ(back[i].name, torch[i].name);
    EXPECT_EQ(back[i].shape, torch[i].shape);
    EXPECT_EQ(back[i].load(), torch[i].load());
  }
}

TEST(KokoroTorch, DropsWhatTorchAdds) {
  auto out = kokoro_from_torch(
      {floats("bert.module.embeddings.position_ids", {1}),
       floats("bert_encoder.module.weight", {2}),
       floats("decoder.module.c.parametrizations.weight.original0", {2}),
       floats("decoder.module.c.parametrizations.weight.original1", {2})});
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0].name, "bert_encoder.weight");
  EXPECT_EQ(out[1].name, "decoder.c.weight_g");
  EXPECT_EQ(out[2].name, "decoder.c.weight_v");
}

TEST(WhisperLayout, TakesTransformersAndOpenAi) {
  auto names = [](std::vector<LazyTensor> list) {
    std::vector<std::string> result;
    for (const auto& tensor : whisper_to_mlx(std::move(list))) {
      result.push_back(tensor.name + checkpoint::to_string(tensor.shape));
    }
    return result;
  };
  std::vector<std::string> expected = {
      "encoder.conv1.weight[4, 3, 2]",
      "encoder.blocks.0.attn.key.weight[2]",
      "encoder.blocks.0.attn_ln.weight[2]",
      "encoder.ln_post.bias[2]",
      "decoder.blocks.1.cross_attn.out.bias[2]",
      "decoder.blocks.1.cross_attn_ln.bias[2]",
      "decoder.blocks.1.mlp1.weight[2]",
      "decoder.blocks.1.mlp2.weight[2]",
      "decoder.blocks.1.mlp_ln.weight[2]",
      "decoder.ln.weight[2]",
      "decoder.positional_embedding[2]",
      "decoder.token_embedding.weight[2]"};
  EXPECT_EQ(
      names(
          {floats("model.encoder.conv1.weight", {4, 2, 3}),
           floats("model.encoder.layers.0.self_attn.k_proj.weight", {2}),
           floats("model.encoder.layers.0.self_attn_layer_norm.weight", {2}),
           floats("model.encoder.layer_norm.bias", {2}),
           floats("model.decoder.layers.1.encoder_attn.out_proj.bias", {2}),
           floats("model.decoder.layers.1.encoder_attn_layer_norm.bias", {2}),
           floats("model.decoder.layers.1.fc1.weight", {2}),
           floats("model.decoder.layers.1.fc2.weight", {2}),
           floats("model.decoder.layers.1.final_layer_norm.weight", {2}),
           floats("model.decoder.layer_norm.weight", {2}),
           floats("model.decoder.embed_positions.weight", {2}),
           floats("model.decoder.embed_tokens.weight", {2}),
           floats("model.encoder.embed_positions.weight", {2}),
           floats("proj_out.weight", {2})}),
      expected);
  EXPECT_EQ(
      names(
          {floats("model_state_dict.encoder.conv1.weight", {4, 2, 3}),
           floats("model_state_dict.encoder.blocks.0.attn.key.weight", {2}),
           floats("model_state_dict.encoder.blocks.0.attn_ln.weight", {2}),
           floats("model_state_dict.encoder.ln_post.bias", {2}),
           floats("model_state_dict.decoder.blocks.1.cross_attn.out.bias", {2}),
           floats("model_state_dict.decoder.blocks.1.cross_attn_ln.bias", {2}),
           floats("model_state_dict.decoder.blocks.1.mlp.0.weight", {2}),
           floats("model_state_dict.decoder.blocks.1.mlp.2.weight", {2}),
           floats("model_state_dict.decoder.blocks.1.mlp_ln.weight", {2}),
           floats("model_state_dict.decoder.ln.weight", {2}),
           floats("model_state_dict.decoder.positional_embedding", {2}),
           floats("model_state_dict.decoder.token_embedding.weight", {2}),
           floats("model_state_dict.encoder.positional_embedding", {2})}),
      expected);
  EXPECT_EQ(names({floats("encoder.conv1.weight", {4, 3, 2})}).size(), 1u);
}

TEST(WhisperLayout, ConfigsGetBothNames) {
  auto config = whisper_config(
      json::parse(
          R"({"num_mel_bins":80,"max_source_positions":1500,"d_model":384,
          "encoder_attention_heads":6,"encoder_layers":4,"vocab_size":51865,
          "max_target_positions":448,"decoder_attention_heads":6,
          "decoder_layers":4})"));
  EXPECT_EQ(config["n_text_state"], 384);
  EXPECT_EQ(config["n_text_layer"], 4);
  expect_error(ErrorKind::corrupt_data, "n_mels", [] {
    whisper_config(json::object());
  });
}

} // namespace
} // namespace mlx_audio::convert
