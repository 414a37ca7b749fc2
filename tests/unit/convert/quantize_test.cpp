#include "convert/quantize.h"
#include "convert/refit.h"

#include <cmath>
#include <random>

#include "mlx/mlx.h"
#include "unit/checkpoint/helpers.h"

namespace mlx_audio::convert {
namespace {

namespace mx = mlx::core;
using checkpoint::Bytes;
using checkpoint::DType;
using checkpoint::LazyTensor;
using test::expect_error;

std::vector<float> normal(size_t count, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> draw;
  std::vector<float> list(count);
  for (float& value : list) {
    value = draw(generator);
  }
  return list;
}

LazyTensor matrix(const std::string& name, int64_t rows, int64_t columns) {
  auto list = normal(static_cast<size_t>(rows * columns));
  return {name, DType::float32, {rows, columns}, [list] {
            return test::bytes_of(list);
          }};
}

using Report = std::shared_ptr<std::vector<LayerReport>>;

Report new_report() {
  return std::make_shared<std::vector<LayerReport>>();
}

const LazyTensor& find(
    const std::vector<LazyTensor>& list,
    const std::string& name) {
  for (const auto& tensor : list) {
    if (tensor.name == name) {
      return tensor;
    }
  }
  throw std::runtime_error(name);
}

bool same_bytes(const Bytes& bytes, mx::array other) {
  other = mx::contiguous(other);
  mx::eval(other);
  return bytes.size() == other.nbytes() &&
      std::memcmp(bytes.data(), other.data<std::byte>(), bytes.size()) == 0;
}

// 20,000 rows make several pieces of 2^23 elements.
TEST(Quantize, HasTheBitsOfMlx) {
  struct Case {
    int bits;
    int group;
    int64_t rows;
    int64_t columns;
  };
  for (auto [bits, group, rows, columns] : std::vector<Case>{
           {2, 32, 3, 64},
           {3, 64, 8, 128},
           {4, 64, 5, 192},
           {5, 32, 4, 96},
           {6, 128, 2, 256},
           {8, 32, 1, 32},
           {4, 64, 20000, 512}}) {
    SCOPED_TRACE(bits);
    QuantizeOptions options;
    options.bits = bits;
    options.group_size = group;
    auto report = new_report();
    auto source = matrix("l.weight", rows, columns);
    auto out = quantize({source}, "whisper", options, report);
    ASSERT_EQ(out.size(), 3u);
    auto list = normal(static_cast<size_t>(rows * columns));
    mx::array w(
        list.data(),
        {static_cast<int>(rows), static_cast<int>(columns)},
        mx::float32);
    auto parts = mx::quantize(w, group, bits);
    EXPECT_TRUE(same_bytes(find(out, "l.weight").load(), parts[0]));
    EXPECT_TRUE(same_bytes(find(out, "l.scales").load(), parts[1]));
    EXPECT_TRUE(same_bytes(find(out, "l.biases").load(), parts[2]));
    // A step of the grid is range / (2^bits - 1), an error at most half of one.
    EXPECT_LT((*report)[0].relative_error, 1.0 / (1 << (bits - 1)));
    EXPECT_GT((*report)[0].relative_error, 0);
  }
}

TEST(Quantize, ComesBackByDequantize) {
  QuantizeOptions options;
  options.bits = 4;
  auto report = new_report();
  auto packed = quantize(
      {matrix("l.weight", 6, 128), matrix("l.bias", 1, 3)},
      "whisper",
      options,
      report);
  ASSERT_EQ(packed.size(), 4u);
  auto back = dequantize(packed, [](const std::string& path) {
    EXPECT_EQ(path, "l");
    return Packing{};
  });
  ASSERT_EQ(back.size(), 2u);
  auto exact = test::values<float>(matrix("", 6, 128).load());
  auto values = test::values<float>(find(back, "l.weight").load());
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(exact[i] - values[i], 2);
    norm += std::pow(exact[i], 2);
  }
  EXPECT_NEAR(std::sqrt(error / norm), (*report)[0].relative_error, 1e-6);
}

TEST(Quantize, RefittingMakesErrorsSmaller) {
  for (int bits : {2, 3, 4}) {
    SCOPED_TRACE(bits);
    QuantizeOptions options;
    options.bits = bits;
    auto plain = new_report();
    auto refit = new_report();
    auto source = matrix("l.weight", 32, 512);
    find(quantize({source}, "whisper", options, plain), "l.scales").load();
    options.refit = true;
    find(quantize({source}, "whisper", options, refit), "l.scales").load();
    EXPECT_LT(
        (*refit)[0].relative_error,
        (0.81 + 0.0325 * bits) * (*plain)[0].relative_error);
  }
}

// Of correlated inputs, as those of a network's layers are.
TEST(Quantize, CalibrationMakesErrorsOfOutputsSmaller) {
  constexpr int in = 128;
  constexpr int count = 400;
  auto key = [](uint64_t seed) { return mx::random::key(seed); };
  auto mix = mx::random::normal({in / 4, in}, mx::float32, key(1));
  auto x = mx::matmul(
               mx::random::normal({count, in / 4}, mx::float32, key(2)), mix) +
      0.3f * mx::random::normal({count, in}, mx::float32, key(3));
  auto moments = mx::contiguous(
      mx::matmul(mx::transpose(x), x) / static_cast<float>(count));
  auto w = mx::random::normal({48, in}, mx::float32, key(4));
  mx::eval(moments, w);
  auto factor = input_factor(
      {moments.data<float>(), moments.data<float>() + in * in}, in);
  // R R^T is the moments, damped by a part of their mean diagonal.
  auto r = mx::transpose(mx::array(factor.data(), {in, in}, mx::float32));
  auto damped = mx::matmul(r, mx::transpose(r)) - moments;
  auto damp = mx::trace(damped).item<float>() / in;
  EXPECT_GT(damp, 0);
  EXPECT_LT(
      mx::max(mx::abs(damped - damp * mx::eye(in))).item<float>(),
      1e-3f * mx::max(moments).item<float>());
  for (int bits : {2, 3, 4, 8}) {
    for (int group : {32, 64}) {
      auto error = [&](bool refits, const std::vector<float>* with) {
        auto parts = mx::quantize(w, group, bits);
        if (refits) {
          refit(w, parts, {bits, group, "affine"}, with);
        }
        auto back = mx::dequantize(parts[0], parts[1], parts[2], group, bits);
        return mx::linalg::norm(mx::matmul(x, mx::transpose(back - w)))
            .item<float>();
      };
      float plain = error(false, nullptr);
      float weights = error(true, nullptr);
      float outputs = error(true, &factor);
      EXPECT_LE(weights, 1.02f * plain) << bits;
      EXPECT_LT(outputs, 0.8f * weights) << bits;
    }
  }
}

TEST(Quantize, LeavesAloneWhatItMust) {
  QuantizeOptions options;
  auto report = new_report();
  auto out = quantize(
      {matrix("a.weight", 4, 64),
       matrix("talker.codec_embedding.weight", 4, 64),
       matrix("odd.weight", 4, 65),
       matrix("a.other", 4, 64)},
      "qwen3_tts",
      options,
      report);
  EXPECT_EQ(out.size(), 6u);
  EXPECT_TRUE((*report)[0].packing);
  EXPECT_FALSE((*report)[1].packing);
  EXPECT_FALSE((*report)[2].packing);
  EXPECT_FALSE((*report)[3].packing);
}

TEST(Quantize, KnowsTheRulesOfModels) {
  EXPECT_TRUE(may_quantize("qwen3_tts", "talker.model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(may_quantize("qwen3_tts", "speaker_encoder.fc"));
  EXPECT_TRUE(may_quantize("vibevoice_asr", "language_model.layers.0.q"));
  EXPECT_FALSE(may_quantize("vibevoice_asr", "acoustic_connector.fc1"));
  EXPECT_FALSE(may_quantize("csm", "_audio_tokenizer.encoder.x"));
  EXPECT_TRUE(may_quantize("whisper", "decoder.token_embedding"));
  EXPECT_FALSE(may_quantize("sam_audio", "audio_codec.encoder.x"));
  EXPECT_TRUE(may_quantize("sam_audio", "transformer.layers.0.x"));
}

TEST(Quantize, MixedRecipesWorkOnAnyStack) {
  std::vector<std::string> paths;
  for (int i = 0; i < 16; ++i) {
    std::string layer = "model.layers." + std::to_string(i);
    paths.push_back(layer + ".self_attn.v_proj");
    paths.push_back(layer + ".self_attn.q_proj");
  }
  paths.emplace_back("lm_head");
  paths.emplace_back("albert_layers.0.attention.value");
  paths.emplace_back("encoder.blocks.0.attn.value");
  paths.emplace_back("no.number.value");
  auto bits = mixed_bits(paths, 3, 6);
  // Of 16 layers: 0, 1, then each third after the first eighth, 14 and 15.
  for (int i = 0; i < 16; ++i) {
    bool precise = i < 2 || i >= 14 || (i - 2) % 3 == 2;
    EXPECT_EQ(bits[2 * static_cast<size_t>(i)], precise ? 6 : 3) << i;
    EXPECT_EQ(bits[2 * static_cast<size_t>(i) + 1], 3) << i;
  }
  EXPECT_EQ(bits[32], 6);
  EXPECT_EQ(bits[33], 6);
  EXPECT_EQ(bits[34], 6);
}

TEST(Quantize, NamesWhatIsNotOffered) {
  auto fails = [](QuantizeOptions options, const std::string& words) {
    expect_error(ErrorKind::invalid_argument, words, [&] {
      quantize({matrix("a.weight", 4, 64)}, "whisper", options, new_report());
    });
  };
  fails({7, {}, "affine", "", false}, "7 bits are not offered");
  fails({1, {}, "affine", "", false}, "1 bits are not offered");
  fails({4, 48, "affine", "", false}, "group size of 48");
  fails({4, 128, "affine", "", false}, "no layer can be quantized");
  fails({8, {}, "mxfp4", "", false}, "8 bits are not offered in mode mxfp4");
  fails({{}, {}, "gguf", "", false}, "unknown quantization mode 'gguf'");
  fails({{}, {}, "affine", "mixed_1_2", false}, "unknown recipe");
  fails({{}, {}, "mxfp4", "mixed_3_6", false}, "does not go with mode mxfp4");
}

TEST(Dequantize, ProvesShapes) {
  auto report = new_report();
  auto packed = quantize({matrix("l.weight", 6, 128)}, "whisper", {}, report);
  expect_error(ErrorKind::corrupt_data, "is not packed in 8 bits", [&] {
    dequantize(
        packed, [](const std::string&) { return Packing{8, 64, "affine"}; });
  });
}

} // namespace
} // namespace mlx_audio::convert
