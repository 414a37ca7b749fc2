#include "unit/mossformer2_se/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlx_audio/enhancement.h"
#include "mlx_audio/error.h"
#include "models/mossformer2_se/model.h"

namespace mlx_audio {
namespace {

namespace mx = mlx::core;
using testing::HasSubstr;

const char* kHidden =
    "model.mossformer.mdl.intra_mdl.mossformerM.fsmn.1.gated_fsmn.to_u.linear."
    "weight";

void expect_corrupt(
    const tiny::Tensors& tensors,
    const std::string& part,
    const std::string& json = tiny::config()) {
  tiny::TempFolder temp;
  tiny::write(temp.string(), tensors, json);
  try {
    Enhancer::load(temp.string());
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_data);
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

tiny::Tensors mlx() {
  return tiny::mlx_layout(tiny::tensors());
}

TEST(Checkpoint, EveryTensorIsNeeded) {
  auto all = mlx();
  for (const auto& [name, value] : all) {
    auto some = all;
    some.erase(name);
    auto canonical = mossformer2_se::canonical_name(name);
    // The count of blocks follows the tensors unless config.json states it.
    expect_corrupt(
        some,
        canonical.find("layers.") != std::string::npos &&
                canonical.find("to_qk.linear.bias") != std::string::npos
            ? "num_blocks"
            : canonical,
        tiny::config(R"(, "num_blocks": 2)"));
  }
}

TEST(Checkpoint, ExtraTensorsAreNamed) {
  auto all = mlx();
  all.emplace("model.mossformer.surplus", mx::array(1.0f));
  expect_corrupt(all, "surplus");
}

TEST(Checkpoint, MisshapenTensorsAreNamed) {
  auto all = mlx();
  for (const auto& [name, value] : all) {
    auto some = all;
    some.insert_or_assign(name, mx::zeros({3, 5, 7, 2}));
    expect_corrupt(some, "'");
  }
}

TEST(Checkpoint, SizesMustAgreeWithTheConfig) {
  expect_corrupt(
      mlx(), "out_channels", tiny::config(R"(, "out_channels": 64)"));
  expect_corrupt(mlx(), "num_blocks", tiny::config(R"(, "num_blocks": 3)"));
  expect_corrupt(
      mlx(), "961", tiny::config(R"(, "win_len": 960, "fft_len": 960)"));
}

TEST(Checkpoint, BadConfigsAreNamed) {
  for (auto [more, part] : std::map<std::string, std::string>{
           {R"(, "win_inc": 0)", "win_inc"},
           {R"(, "win_len": "long")", "win_len"},
           {R"(, "num_mels": 1e9)", "num_mels"},
           {R"(, "sample_rate": 1.5)", "sample_rate"},
           {R"(, "win_type": "hanning")", "win_type"},
           {R"(, "preemphasis": -1)", "preemphasis"},
           {R"(, "num_blocks": 2.5)", "num_blocks"},
           {R"(, "fft_len": 2048)", "fft_len"},
           {R"(, "quantization": {"bits": 1})", "bits"}}) {
    expect_corrupt(mlx(), part, tiny::config(more));
  }
  expect_corrupt(mlx(), "JSON", "[1]");
  expect_corrupt(mlx(), "JSON", "{");
  expect_corrupt(mlx(), "model_type", R"({"model_type": "whisper"})");
}

TEST(Checkpoint, QuantizedLayersEqualTheirDequantizedValues) {
  auto x = tiny::signal(20000);
  Audio audio;
  audio.samples = x;
  audio.sample_rate = 48000;
  for (int bits : {4, 6, 8}) {
    auto packed = tiny::quantized(mlx(), bits);
    ASSERT_EQ(packed.at(kHidden).dtype(), mx::uint32);
    auto plain = mlx();
    for (auto& [name, value] : plain) {
      auto path = name.substr(0, name.find_last_of('.') + 1);
      if (packed.count(path + "scales") && tiny::ends_with(name, "weight")) {
        value = mx::dequantize(
            packed.at(name),
            packed.at(path + "scales"),
            packed.at(path + "biases"),
            64,
            bits);
      }
    }
    auto bits_text = std::to_string(bits);
    tiny::TempFolder temp;
    tiny::write(
        temp / "stated",
        packed,
        tiny::config(
            R"(, "quantization_config": {"group_size": 64, "bits": )" +
            bits_text + "}"));
    tiny::write(temp / "unstated", packed);
    tiny::write(temp / "plain", plain);
    auto want = Enhancer::load(temp / "plain").enhance(audio).samples;
    EXPECT_EQ(Enhancer::load(temp / "stated").enhance(audio).samples, want);
    EXPECT_EQ(Enhancer::load(temp / "unstated").enhance(audio).samples, want);
    expect_corrupt(
        packed,
        "not quantized to 3 bits",
        tiny::config(R"(, "quantization": {"group_size": 64, "bits": 3})"));
    expect_corrupt(
        packed,
        "groups of 32",
        tiny::config(
            R"(, "quantization": {"group_size": 32, "bits": )" + bits_text +
            "}"));
  }
}

TEST(Checkpoint, MissingPartsOfQuantizedLayers) {
  auto packed = tiny::quantized(mlx(), 4);
  std::string path(kHidden);
  path.resize(path.size() - 6);
  auto without_biases = packed;
  without_biases.erase(path + "biases");
  expect_corrupt(without_biases, "to_u.linear.biases");
  auto without_scales = packed;
  without_scales.erase(path + "scales");
  expect_corrupt(without_scales, "to_u.linear.weight");
}

TEST(Checkpoint, HalfPrecisionFilesLoad) {
  Audio audio;
  audio.samples = tiny::signal(5000);
  audio.sample_rate = 48000;
  tiny::TempFolder temp;
  for (auto dtype : {mx::float16, mx::bfloat16}) {
    auto half = mlx();
    for (auto& [name, value] : half) {
      value = mx::astype(value, dtype);
    }
    tiny::write(temp / "half", half);
    EXPECT_EQ(
        Enhancer::load(temp / "half").enhance(audio).samples.size(), 5000u);
  }
}

TEST(Checkpoint, MissingFilesAndBadFlags) {
  tiny::TempFolder temp;
  auto expect = [](ErrorKind kind,
                   const std::string& folder,
                   const std::string& dtype = "") {
    try {
      Enhancer::load(folder, {.dtype = dtype});
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
    }
  };
  expect(ErrorKind::not_found, temp / "nowhere");
  expect(ErrorKind::not_found, temp.string());
  std::ofstream(temp / "config.json") << tiny::config();
  expect(ErrorKind::not_found, temp.string());
  tiny::write(temp / "model", mlx());
  expect(ErrorKind::invalid_argument, temp / "model", "float8");
}

} // namespace
} // namespace mlx_audio
