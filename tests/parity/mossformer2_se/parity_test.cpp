// Against goldens of upstream's torch code on the same weights
// (make_golden.py). All is f32; what differs is the order of sums.
#include <cmath>

#include <gtest/gtest.h>

#include "mlx_audio/enhancement.h"
#include "models/mossformer2_se/model.h"
#include "unit/mossformer2_se/checkpoint.h"

namespace mlx_audio {
namespace {

namespace mx = mlx::core;

const tiny::Tensors& golden() {
  static const tiny::Tensors tensors = [] {
    auto [loaded, metadata] = mx::load_safetensors(
        std::string(TEST_DATA_DIR) + "/mossformer2_se/golden.safetensors");
    for (auto& [name, tensor] : loaded) {
      mx::eval(tensor);
    }
    return tiny::Tensors(loaded.begin(), loaded.end());
  }();
  return tensors;
}

const std::string& folder() {
  static const tiny::TempFolder temp;
  static const std::string path = [] {
    tiny::write(temp / "model", tiny::tensors());
    return temp / "model";
  }();
  return path;
}

float max_difference(const mx::array& a, const mx::array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return mx::max(mx::abs(a - b)).item<float>();
}

Audio signal(size_t samples) {
  Audio audio;
  audio.samples = tiny::signal(samples);
  audio.sample_rate = 48000;
  return audio;
}

// Largest difference of every `step`-th sample before `end`.
float audio_difference(
    const Audio& audio,
    const std::string& name,
    size_t step,
    size_t end) {
  const auto& want = golden().at(name);
  EXPECT_EQ((audio.samples.size() + step - 1) / step, want.size());
  float largest = 0;
  for (size_t i = 0; i < want.size() && i * step < end; ++i) {
    largest = std::max(
        largest, std::abs(audio.samples.at(i * step) - want.data<float>()[i]));
  }
  return largest;
}

TEST(Mossformer2Parity, Intermediates) {
  auto model = mossformer2_se::Model::load(folder(), "");
  auto taps = model.taps(tiny::signal(14400));
  const auto& fbank = taps.at("fbank");
  ASSERT_EQ(fbank.shape(0), 33);
  // torchaudio's own sums are f32, over up to 200 bins.
  EXPECT_LT(max_difference(fbank, golden().at("short.fbank")), 1e-4f);
  auto rows = mx::array({0, 4, 8, 12, 16, 20, 24, 28, 32});
  for (const char* name :
       {"encoder", "layer0", "block0", "layer1", "block1", "mask"}) {
    auto got = mx::take(taps.at(name), rows, 0);
    EXPECT_LT(
        max_difference(got, golden().at(std::string("short.") + name)), 1e-4f)
        << name;
  }
}

TEST(Mossformer2Parity, WholeFileEqualsUpstreamWhereItHasSamples) {
  auto enhancer = Enhancer::load(folder());
  auto audio = enhancer.enhance(signal(14400));
  constexpr size_t kCovered = 32 * 384 + 1920;
  EXPECT_LT(audio_difference(audio, "short.audio", 1, kCovered), 1e-5f);
  double end = 0;
  for (size_t i = kCovered; i < 14400; ++i) {
    end += std::abs(static_cast<double>(audio.samples[i]));
  }
  EXPECT_GT(end, 0.01); // upstream leaves zeros here

  audio = enhancer.enhance(
      signal(1920 + 290 * 384 + 300), {.segments = Segments::whole});
  EXPECT_LT(
      audio_difference(audio, "groups.audio", 3, 1920 + 290 * 384), 1e-5f);
}

TEST(Mossformer2Parity, OriginalSegmentsAreUpstreamsToTheLastZero) {
  auto enhancer = Enhancer::load(folder());
  EnhancementOptions original{.segments = Segments::original};
  auto all = [&](size_t samples, const char* name, size_t step) {
    return audio_difference(
        enhancer.enhance(signal(samples), original), name, step, samples);
  };
  EXPECT_LT(all(14400, "short.audio", 1), 1e-5f);
  EXPECT_LT(all(110000, "segmented.audio", 3), 1e-5f);
  EXPECT_LT(all(120000, "segmented_exact.audio", 3), 1e-5f);
}

TEST(Mossformer2Parity, MlxLayoutGivesTheSame) {
  tiny::TempFolder temp;
  tiny::write(temp / "mlx", tiny::mlx_layout(tiny::tensors()));
  auto audio = Enhancer::load(temp / "mlx").enhance(signal(14400));
  EXPECT_LT(audio_difference(audio, "short.audio", 1, 14208), 1e-5f);
}

TEST(Mossformer2Parity, HalfPrecisionIsNear) {
  for (const char* dtype : {"bfloat16", "float16"}) {
    auto audio =
        Enhancer::load(folder(), {.dtype = dtype}).enhance(signal(14400));
    float difference = audio_difference(audio, "short.audio", 1, 14208);
    // Weights lose all but 8 bits (bfloat16); the signal's peak is 0.58.
    EXPECT_LT(difference, 0.03f) << dtype;
    EXPECT_GT(difference, 1e-5f) << dtype; // the option does something
  }
}

} // namespace
} // namespace mlx_audio
