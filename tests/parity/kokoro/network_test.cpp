// The network against hexgrad/kokoro in torch on the same f32 weights, layer by
// layer. Goldens: tests/data/kokoro, made with initial phases and noise 0.
#include "models/kokoro/network.h"

#include <cmath>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "kernels/stft.h"
#include "nn/weights.h"
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

// The excitation as torch rounds it (kokoro/istftnet.py, SineGen): phases
// summed in f64 but kept, multiplied and interpolated in f32, never wrapped.
mx::array torch_excitation(const mx::array& f0_curve) {
  static const auto merge = [] {
    auto weights = nn::Weights::load(
        testing::model_folder("kokoro-f32") + "/kokoro-v1_0.safetensors");
    std::string path = "decoder.generator.m_source.l_linear";
    auto w = weights.take(path + ".weight", {1, 9});
    auto b = weights.take(path + ".bias", {1});
    mx::eval(w, b);
    std::vector<float> all(w.data<float>(), w.data<float>() + 9);
    all.push_back(b.data<float>()[0]);
    return all;
  }();
  constexpr int up = 300;
  auto curve = mx::contiguous(mx::reshape(f0_curve, {-1}));
  mx::eval(curve);
  const float* f0 = curve.data<float>();
  const int time = static_cast<int>(curve.size());
  std::vector<float> samples(static_cast<size_t>(time) * up, merge[9]);
  std::vector<float> phase(time);
  for (int h = 0; h < 9; ++h) {
    double sum = 0;
    for (int t = 0; t < time; ++t) {
      float rad = std::fmod(f0[t] * static_cast<float>(h + 1) / 24000.0f, 1.0f);
      sum += rad;
      phase[t] = static_cast<float>(sum) * 2 * static_cast<float>(M_PI) * up;
    }
    for (int n = 0; n < time * up; ++n) {
      float at = std::max(
          0.0f, std::fma(1.0f / up, static_cast<float>(n) + 0.5f, -0.5f));
      int low = std::min(static_cast<int>(at), time - 1);
      int high = std::min(low + 1, time - 1);
      float part = at - static_cast<float>(low);
      float value = std::fma(phase[low], 1 - part, phase[high] * part);
      if (f0[n / up] > 10) {
        samples[n] += merge[h] * (std::sin(value) * 0.1f);
      }
    }
  }
  return mx::tanh(mx::array(samples.data(), {1, time * up}, mx::float32));
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
  // its STFT is done in f64. The generator hears torch's excitation here: torch
  // sums its phases unwrapped in f32, up to 1e5 rad in steps of 0.008 rad.
  auto bound = 1.5 * info.value("stft64_logmel_mae", 0.05) + 0.02;
  const auto& mel = tensors.at(name + ".mel");
  auto style = mx::split(tensors.at(name + ".ref_s"), 2, -1)[0];
  auto like_torch = mx::reshape(
      network().decoder().generator()(
          taps.at("decoder_decode3"),
          mx::reshape(style, {1, -1}),
          kernels::magnitude_phase_stft(
              torch_excitation(taps.at("F0")), 20, 5)),
      {-1});
  auto [distance, correlation] = testing::log_mel_to_golden(like_torch, mel);
  EXPECT_LT(distance, bound) << "correlation " << correlation;
  // Ours are wrapped and exact, so that an output of ours may be further away
  // by what torch's rounding does, as its two outputs show.
  auto [ours, own_correlation] =
      testing::log_mel_to_golden(result.samples, mel);
  double rounding = testing::log_mel_distance(result.samples, like_torch);
  EXPECT_LT(ours, bound + rounding) << "correlation " << own_correlation;
  EXPECT_LT(rounding, 0.06);
  RecordProperty("logmel", std::to_string(distance));
  RecordProperty("logmel_own_phases", std::to_string(ours));
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
