// The excitation and the transforms around iSTFTNet's generator against their
// compositions of MLX ops.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "kernels/harmonic_source.h"
#include "kernels/simd.h"
#include "kernels/stft.h"

namespace mlx_audio::kernels {
namespace {

template <class Function>
mx::array with_mlx_ops(Function&& function) {
  ScopedMlxOps mlx;
  auto y = function();
  mx::eval(y);
  return y;
}

float difference(const mx::array& a, const mx::array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return mx::max(mx::abs(a - b)).item<float>();
}

mx::array pitch(int batch, int time) { // speech-like, with unvoiced parts
  std::vector<float> f0(static_cast<size_t>(batch) * time);
  for (size_t i = 0; i < f0.size(); ++i) {
    f0[i] = i % 40 < 28 ? 180.0f + 90.0f * std::sin(0.1f * i) : 3.0f;
  }
  return mx::array(f0.data(), {batch, time}, mx::float32);
}

TEST(HarmonicSource, EqualsMlx) {
  auto f0 = pitch(2, 90);
  auto weight = mx::random::normal({9}, mx::float32, mx::random::key(1));
  auto bias = mx::array({0.1f});
  auto noise = mx::random::normal({2, 90 * 300}, mx::random::key(2));
  for (bool noisy : {false, true}) {
    auto run = [&] {
      return harmonic_source(
          f0, weight, bias, noisy ? std::make_optional(noise) : std::nullopt);
    };
    auto want = with_mlx_ops(run);
    for (const auto& target : simd_targets()) {
      ScopedSimdTarget scoped(target);
      // The composition sums phases in f32 (90 values), the kernel in f64.
      EXPECT_LT(difference(run(), want), 3e-4f) << target << noisy;
    }
  }
}

// A minute of a constant pitch ends in the phase that it must: no drift.
TEST(HarmonicSource, KeepsThePhaseOverAMinute) {
  const int time = 60 * 80;
  auto f0 = mx::full({1, time}, 123.456f);
  auto y = harmonic_source(
      f0, mx::array({1.0f}), mx::array({0.0f}), std::nullopt, {});
  mx::eval(y);
  const float* samples = y.data<float>();
  float worst = 0;
  const double hz = 123.456f;
  for (int64_t n = 300; n < int64_t{time - 1} * 300; n += 997) {
    // The phase is f0's sum up to the middle of interval 0, which counts whole.
    double cycles = hz / 24000 * (static_cast<double>(n) + 0.5 + 150);
    double want = std::tanh(0.1 * std::sin(2 * M_PI * cycles));
    worst = std::max(worst, std::abs(samples[n] - static_cast<float>(want)));
  }
  EXPECT_LT(worst, 1e-4f);
}

TEST(Stft, EqualsMlx) {
  for (int samples : {11, 100, 5003}) {
    auto x = mx::random::normal({2, samples}, mx::random::key(3));
    auto run = [&] { return magnitude_phase_stft(x, 20, 5); };
    auto want = mx::split(with_mlx_ops(run), 2, -1);
    for (const auto& target : simd_targets()) {
      ScopedSimdTarget scoped(target);
      auto got = mx::split(run(), 2, -1);
      EXPECT_LT(difference(got[0], want[0]), 1e-5f) << target;
      // Phases as points: where the magnitude is near 0 they may be anything.
      auto point = [](const std::vector<mx::array>& s) {
        return mx::concatenate({s[0] * mx::cos(s[1]), s[0] * mx::sin(s[1])});
      };
      EXPECT_LT(difference(point(got), point(want)), 1e-5f) << target;
    }
  }
}

TEST(Stft, InverseEqualsMlx) {
  for (int frames : {2, 3, 64, 1003}) {
    auto spectrum = mx::random::normal({2, frames, 22}, mx::random::key(4));
    auto run = [&] { return istft_from_log(spectrum, 20, 5); };
    auto want = with_mlx_ops(run);
    for (const auto& target : simd_targets()) {
      ScopedSimdTarget scoped(target);
      EXPECT_LT(difference(run(), want), 2e-5f) << target << " " << frames;
    }
  }
}

TEST(Stft, RefusesAHopThatDoesNotFit) {
  EXPECT_THROW(
      magnitude_phase_stft(mx::zeros({1, 100}), 20, 7), std::invalid_argument);
  EXPECT_THROW(
      magnitude_phase_stft(mx::zeros({1, 10}), 20, 5), std::invalid_argument);
}

} // namespace
} // namespace mlx_audio::kernels
