// The network against hexgrad/kokoro in torch on the same f32 weights, layer by
// layer. Goldens: tests/data/kokoro, made with initial phases and noise 0.
#include "models/kokoro/network.h"

#include <cmath>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "testing/models.h"

namespace mlx_audio::kokoro {
namespace {

using Json = nlohmann::json;

struct Golden {
  std::unordered_map<std::string, mx::array> tensors;
  Json cases;
};

const Golden& golden() {
  static const Golden value = [] {
    std::string folder = TEST_DATA_DIR "/kokoro/";
    std::ifstream file(folder + "case.json");
    return Golden{
        mx::load_safetensors(folder + "golden.safetensors").first,
        Json::parse(file)};
  }();
  return value;
}

const Network& network() {
  static const auto value = Network::load(testing::model_folder("kokoro-f32"));
  return *value;
}

std::vector<int> ids_of(const std::string& name) {
  auto ids = golden().tensors.at(name + ".ids");
  mx::eval(ids);
  return {ids.data<int>(), ids.data<int>() + ids.size()};
}

double max_abs(const mx::array& a) {
  return mx::max(mx::abs(mx::astype(a, mx::float32))).item<float>();
}

class KokoroParity : public ::testing::TestWithParam<std::string> {};

TEST_P(KokoroParity, LayersAgreeWithTorch) {
  const std::string name = GetParam();
  const auto& tensors = golden().tensors;
  Json info;
  for (const auto& one : golden().cases["cases"]) {
    if (one["name"] == name) {
      info = one;
    }
  }
  Taps taps;
  auto result = network()(
      ids_of(name),
      tensors.at(name + ".ref_s"),
      info["speed"].get<float>(),
      std::nullopt,
      &taps);

  // Durations are exact.
  auto durations = tensors.at(name + ".durations");
  mx::eval(durations);
  ASSERT_EQ(durations.size(), result.durations.size());
  for (size_t i = 0; i < result.durations.size(); ++i) {
    EXPECT_EQ(durations.data<int>()[i], result.durations[i]) << "id " << i;
  }
  ASSERT_EQ(
      result.samples.size(), static_cast<size_t>(info["samples"].get<int>()));

  // Whole curves. F0 is in Hz and passes the 10 Hz voicing threshold; 0.05 Hz
  // is what two orders of f32 summation give on values of hundreds.
  EXPECT_LT(max_abs(taps.at("F0") - tensors.at(name + ".F0")), 0.05);
  EXPECT_LT(max_abs(taps.at("N") - tensors.at(name + ".N")), 1e-3);

  // Some frames of each layer: relative to the layer's largest value, since
  // f32 sums of thousands of terms in another order differ by about 1e-4.
  for (const char* layer :
       {"bert",
        "d_en",
        "dur_encoder",
        "text_encoder",
        "asr",
        "decoder_encode",
        "decoder_decode3"}) {
    auto at = tensors.at(name + "." + layer + ".at");
    auto want = tensors.at(name + "." + layer + ".rows"); // [1, dim, rows]
    auto got = mx::transpose(mx::take(taps.at(layer), at, 1), {0, 2, 1});
    EXPECT_EQ(got.shape(), want.shape()) << layer;
    EXPECT_LT(max_abs(got - want) / max_abs(want), 2e-3) << layer;
  }
  auto head = tensors.at(name + ".har_source.head");
  auto source = mx::reshape(taps.at("har_source"), {-1});
  int n = static_cast<int>(head.size());
  n = std::min(n, static_cast<int>(source.size()));
  EXPECT_LT(
      max_abs(
          mx::slice(mx::reshape(head, {-1}), {0}, {n}) -
          mx::slice(source, {0}, {n})),
      2e-3);

  // The waveform depends on phases of spectrum bins that are zero but for
  // rounding, so it is compared by log-mel, within what torch itself shows when
  // its STFT is done in f64, plus 0.01 for torch's phases: it sums them in f32
  // without wrapping (up to 1e5 rad, in steps of 0.008 rad), ours are exact.
  // With torch's rounding imitated, `ja` falls from 0.026 to 0.011.
  auto [distance, correlation] =
      testing::log_mel_to_golden(result.samples, tensors.at(name + ".mel"));
  double floor = info.value("stft64_logmel_mae", 0.05);
  EXPECT_LT(distance, 1.5 * floor + 0.02 + 0.01)
      << "correlation " << correlation;
  RecordProperty("logmel", std::to_string(distance));
}

INSTANTIATE_TEST_SUITE_P(
    Cases,
    KokoroParity,
    ::testing::Values(
        "tiny",
        "en_us_short",
        "en_us_mid",
        "en_gb_fast",
        "es_slow",
        "fr",
        "hi",
        "ja",
        "zh",
        "en_us_500"),
    [](const auto& info) { return info.param; });

// With torch's own source spectrum nothing is left to chance: samples agree.
TEST(KokoroGenerator, ReproducesTorchFromTheSameSource) {
  const auto& tensors = golden().tensors;
  auto channels_last = [&](const char* name) {
    return mx::contiguous(
        mx::transpose(tensors.at(std::string("tiny.") + name), {0, 2, 1}));
  };
  auto style = mx::split(tensors.at("tiny.ref_s"), 2, -1)[0];
  Taps taps;
  auto samples = network().decoder().generator()(
      channels_last("decoder_decode3.full"),
      mx::reshape(style, {1, -1}),
      channels_last("har.full"),
      &taps);
  EXPECT_LT(
      max_abs(taps.at("conv_post") - channels_last("conv_post.full")), 2e-3);
  EXPECT_LT(
      max_abs(
          mx::reshape(samples, {-1}) -
          mx::reshape(tensors.at("tiny.audio"), {-1})),
      1e-3);
}

} // namespace
} // namespace mlx_audio::kokoro
