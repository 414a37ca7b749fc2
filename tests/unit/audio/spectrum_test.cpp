#include "audio/spectrum.h"

#include <chrono>
#include <complex>
#include <cstring>

#include <gtest/gtest.h>

#include "audio/fft.h"
#include "audio/loudness.h"
#include "unit/audio/signals.h"

namespace mlx_audio::audio {
namespace {

template <typename T>
double worst_fft_error(size_t n) {
  std::mt19937 rng(static_cast<unsigned>(n));
  std::normal_distribution<double> normal;
  std::vector<T> in(n);
  for (T& x : in) {
    x = static_cast<T>(normal(rng));
  }
  RealFft<T> fft(n);
  std::vector<T> re(fft.bins());
  std::vector<T> im(fft.bins());
  fft.forward(in.data(), re.data(), im.data());
  double worst = 0;
  for (size_t k = 0; k < fft.bins(); ++k) {
    std::complex<double> sum;
    for (size_t i = 0; i < n; ++i) {
      double angle = -2 * std::numbers::pi * static_cast<double>(i * k % n) /
          static_cast<double>(n);
      sum += static_cast<double>(in[i]) * std::polar(1.0, angle);
    }
    sum -= std::complex<double>(re[k], im[k]);
    worst = std::max(worst, std::abs(sum) / std::sqrt(static_cast<double>(n)));
  }
  return worst;
}

TEST(Fft, EqualsTheDefinitionAtEveryLength) {
  for (size_t n = 1; n <= 64; ++n) {
    EXPECT_LT(worst_fft_error<double>(n), 1e-13) << n;
    EXPECT_LT(worst_fft_error<float>(n), 2e-6) << n;
  }
  for (size_t n : {400, 512, 1024, 1920, 77, 1009, 2 * 3 * 5 * 7 * 11}) {
    EXPECT_LT(worst_fft_error<double>(n), 1e-12) << n;
    EXPECT_LT(worst_fft_error<float>(n), 1e-5) << n;
  }
}

TEST(Spectrum, WindowsAndFrameCounts) {
  auto periodic = hann_window(4);
  EXPECT_FLOAT_EQ(periodic[1], 0.5F);
  EXPECT_FLOAT_EQ(periodic[2], 1.0F);
  auto symmetric = hann_window(5, false);
  EXPECT_NEAR(symmetric[4], 0, 1e-7);
  EXPECT_EQ(frame_count(1023, {1024, 256, {}, false}), 0u);
  EXPECT_EQ(frame_count(1024, {1024, 256, {}, false}), 1u);
  EXPECT_EQ(frame_count(1600, {400, 160, {}, true}), 11u);
}

TEST(Spectrum, SineShowsInItsBin) {
  std::vector<float> sine(1600);
  for (size_t i = 0; i < sine.size(); ++i) {
    sine[i] = std::sin(
        2 * std::numbers::pi_v<float> * 0.05F *
        static_cast<float>(i)); // bin 20 of 400
  }
  auto power = power_spectrum(sine, {400, 160, {}, false});
  ASSERT_EQ(power.size(), 8 * 201u);
  for (size_t f = 0; f < 8; ++f) {
    // A Hann window has gain n / 2 and halves at each side.
    EXPECT_NEAR(power[f * 201 + 20], 100 * 100, 1);
    EXPECT_NEAR(power[f * 201 + 21], 50 * 50, 1);
    EXPECT_NEAR(power[f * 201 + 24], 0, 0.01);
  }
}

TEST(Spectrum, CentredFramesReflect) {
  std::vector<float> x = {1, 2, 3, 4, 5, 6};
  FrameOptions centred{4, 2, std::vector<float>(4, 1.0F), true};
  FrameOptions plain = centred;
  plain.centre = false;
  std::vector<float> padded = {3, 2, 1, 2, 3, 4, 5, 6, 5, 4};
  EXPECT_EQ(power_spectrum(x, centred), power_spectrum(padded, plain));
  EXPECT_THROW(power_spectrum(std::span(x).first(2), centred), Error);
  EXPECT_THROW(
      power_spectrum(x, {4, 2, std::vector<float>(3, 1.0F), false}), Error);
}

TEST(Mel, FiltersSumAndPeakWhereTheyShould) {
  MelOptions options;
  options.area_norm = false;
  options.scale = MelScale::htk;
  options.bands = 20;
  MelFilterbank bank(options);
  auto dense = bank.dense();
  // Between the first and the last peak the triangles add up to 1.
  for (size_t bin = 10; bin < 150; ++bin) {
    float sum = 0;
    for (size_t band = 0; band < 20; ++band) {
      sum += dense[band * 201 + bin];
    }
    EXPECT_NEAR(sum, 1, 1e-5) << bin;
  }
}

// The golden is openai/whisper's own log-mel of the clip padded to 30 s, every
// fourth of its first 718 frames. 1e-4 is the tolerance that the models need;
// two float32 transforms differ by up to 2e-5.
TEST(Mel, WhisperEqualsTheOriginal) {
  Audio clip = read_audio(TEST_DATA_DIR "/audio/speech_16k.wav");
  auto raw = bytes_of(TEST_DATA_DIR "/audio/whisper_mel.f32");
  std::vector<float> golden(80 * 180);
  ASSERT_EQ(raw.size(), golden.size() * 4);
  std::memcpy(golden.data(), raw.data(), raw.size());
  for (size_t padding : {480000 - clip.samples.size(), size_t{480000}}) {
    auto mel = whisper_log_mel(clip.samples, 80, padding);
    size_t frames = (clip.samples.size() + padding) / 160;
    ASSERT_EQ(mel.size(), 80 * frames);
    double worst = 0;
    for (size_t band = 0; band < 80; ++band) {
      for (size_t i = 0; i < 180; ++i) {
        worst = std::max<double>(
            worst,
            std::abs(mel[band * frames + i * 4] - golden[band * 180 + i]));
      }
    }
    std::printf("worst difference %.2e\n", worst);
    EXPECT_LT(worst, 1e-4);
  }
}

TEST(Mel, WhisperTakes128BandsAndAnyLength) {
  auto x = noise(16000, 1, 16000).samples;
  EXPECT_EQ(whisper_log_mel(x, 128).size(), 128 * 100u);
  EXPECT_EQ(whisper_log_mel({}, 80, 480000).size(), 80 * 3000u);
  EXPECT_THROW(whisper_log_mel({}, 80, 200), Error);
}

TEST(Mel, ThirtySecondsTakeAFewMilliseconds) {
  auto x = noise(16000, 1, 480000).samples;
  double best = 1e9;
  for (int run = 0; run < 5; ++run) {
    auto start = std::chrono::steady_clock::now();
    auto mel = whisper_log_mel(x);
    std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  std::printf("30 s of log-mel: %.1f ms\n", best);
  EXPECT_LT(best, 200); // tens of times what it takes, for sanitizer builds
}

std::vector<float> lcg_noise(size_t n, uint32_t state) {
  std::vector<float> out(n);
  for (float& x : out) {
    state = state * 1664525U + 1013904223U;
    x = static_cast<float>(state / 4294967296.0 - 0.5);
  }
  return out;
}

// Expected values: the numpy program that made the parity goldens, on the same
// signals. Filter weights are float here and double there, hence 1e-6.
TEST(LogMelDistance, EqualsTheGoldensMeasure) {
  auto a = lcg_noise(12000, 1);
  auto b = lcg_noise(12000, 2);
  for (size_t i = 0; i < b.size(); ++i) {
    b[i] = a[i] * 0.5F + b[i] * 0.25F;
  }
  auto whole = log_mel_distance(a, b, 24000);
  EXPECT_NEAR(whole.mean_difference, 0.5060035975805994, 1e-6);
  EXPECT_NEAR(whole.correlation, 0.9197651760764074, 1e-6);
  auto brief =
      log_mel_distance(std::span(a).first(700), std::span(b).first(600), 24000);
  EXPECT_NEAR(brief.mean_difference, 0.5502097377341989, 1e-6);
  EXPECT_NEAR(brief.correlation, 0.8882792034935963, 1e-6);
  auto same = log_mel_distance(a, a, 24000);
  EXPECT_EQ(same.mean_difference, 0);
  EXPECT_NEAR(same.correlation, 1, 1e-12);
}

TEST(Loudness, Levels) {
  std::vector<float> square(100, 1.0F);
  square[3] = -1.0F;
  EXPECT_NEAR(rms_dbfs(square), 0, 1e-9);
  std::vector<float> half(100, 0.5F);
  EXPECT_NEAR(rms_dbfs(half), -6.0206, 1e-3);
  EXPECT_TRUE(std::isinf(rms_dbfs({})));
  half[7] = -0.75F;
  EXPECT_EQ(peak(half), 0.75F);
  EXPECT_EQ(peak({}), 0);
}

} // namespace
} // namespace mlx_audio::audio
