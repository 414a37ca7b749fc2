#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio {
namespace {

std::vector<float> sine(int rate, double hz, double seconds) {
  std::vector<float> out(static_cast<size_t>(rate * seconds));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>(
        0.5 *
        std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate));
  }
  return out;
}

// A converted sine is compared with the sine made at the target rate, away from
// the ends. float's own noise floor is about 145 dB below this signal.
TEST(Resampler, SinesKeepMoreThan100dB) {
  const int rates[] = {16000, 24000, 44100, 48000};
  for (int from : rates) {
    for (int to : rates) {
      for (double hz : {100.0, 997.0, 6000.0, 7000.0}) {
        Audio in{sine(from, hz, 1), from, 1};
        Audio out = resample(in, to);
        EXPECT_EQ(out.sample_rate, to);
        EXPECT_EQ(out.frames(), static_cast<size_t>(to));
        EXPECT_GT(snr_db(sine(to, hz, 1), out.samples, 2000), 100)
            << from << " to " << to << " at " << hz;
      }
    }
  }
}

TEST(Resampler, WhatTheTargetCannotHoldIsGone) {
  Audio in{sine(48000, 11000, 1), 48000, 1};
  Audio out = resample(in, 16000);
  double power = 0;
  for (size_t i = 1000; i < 15000; ++i) {
    power += double{out.samples[i]} * out.samples[i] / 14000;
  }
  EXPECT_LT(10 * std::log10(power), -100);
}

TEST(Resampler, AnyCutGivesTheSameSamples) {
  for (auto [from, to] :
       {std::pair{24000, 16000},
        {44100, 16000},
        {16000, 48000},
        {22050, 24000},
        {8000, 44100}}) {
    for (int channels : {1, 2}) {
      Audio in = noise(from, channels, 20011);
      Audio whole = resample(in, to);
      double ratio = static_cast<double>(to) / from;
      EXPECT_EQ(whole.frames(), std::llround(20011 * ratio));
      Resampler resampler(from, to, channels);
      for (int round = 0; round < 2; ++round) { // the second after a reset
        std::vector<float> pieces;
        auto step = static_cast<size_t>(channels);
        for (size_t at = 0, n = 1; at < in.frames();
             at += n, n = n * 7 % 3001) {
          n = std::min(n, in.frames() - at);
          resampler.process(
              std::span(in.samples).subspan(at * step, n * step), pieces);
        }
        resampler.flush(pieces);
        EXPECT_EQ(pieces, whole.samples) << from << " to " << to;
        resampler.reset();
      }
    }
  }
}

TEST(Resampler, ShortSignalsKeepTheirLength) {
  for (size_t n : {0, 1, 2, 5, 100}) {
    Audio in = noise(24000, 1, n);
    EXPECT_EQ(resample(in, 48000).frames(), 2 * n);
    EXPECT_EQ(resample(in, 24000).samples, in.samples);
  }
}

TEST(Resampler, ChannelsStayApart) {
  Audio in{{}, 24000, 2};
  auto tone = sine(24000, 440, 0.5);
  for (float x : tone) {
    in.samples.push_back(x);
    in.samples.push_back(0);
  }
  Audio out = resample(in, 16000, ResampleQuality::vhq);
  for (size_t i = 0; i < out.frames(); ++i) {
    ASSERT_EQ(out.samples[2 * i + 1], 0);
  }
}

TEST(Resampler, RefusesNonsense) {
  EXPECT_THROW(Resampler(0, 16000), Error);
  EXPECT_THROW(Resampler(16000, -1), Error);
  EXPECT_THROW(Resampler(16000, 24000, 0), Error);
  EXPECT_THROW(Resampler(16000, 2000000), Error);
  std::vector<float> three(3);
  std::vector<float> out;
  EXPECT_THROW(Resampler(16000, 24000, 2).process(three, out), Error);
}

TEST(MixToMono, IsTheMean) {
  Audio in{{1, 0, 0.5F, -0.5F}, 24000, 2};
  EXPECT_EQ(mix_to_mono(in).samples, (std::vector<float>{0.5F, 0}));
}

} // namespace
} // namespace mlx_audio
