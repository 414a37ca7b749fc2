#include "mlx_audio/enhancement.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlx_audio/error.h"
#include "unit/mossformer2_se/checkpoint.h"

namespace mlx_audio {
namespace {

namespace mx = mlx::core;
using testing::HasSubstr;

const Enhancer& enhancer() {
  static const Enhancer loaded = [] {
    tiny::TempFolder temp;
    tiny::write(temp / "model", tiny::tensors());
    return Enhancer::load(temp / "model");
  }();
  return loaded;
}

Audio make_audio(std::vector<float> samples, int rate, int channels) {
  Audio audio;
  audio.samples = std::move(samples);
  audio.sample_rate = rate;
  audio.channels = channels;
  return audio;
}

template <class Function>
void expect_error(Function function, ErrorKind kind, const std::string& part) {
  try {
    function();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

std::vector<float> stream(
    const std::vector<float>& x,
    size_t block,
    const EnhancementOptions& options,
    int rate = 48000) {
  auto session = enhancer().session(rate, 1, options);
  std::vector<float> out;
  for (size_t i = 0; i < x.size(); i += block) {
    session.feed(std::span(x).subspan(i, std::min(block, x.size() - i)));
    while (session.step(out)) {
    }
  }
  session.close();
  while (session.step(out)) {
  }
  return out;
}

float difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

TEST(Enhancement, AnyLengthGivesAsMuchAndIsFinite) {
  for (size_t length :
       {1u, 100u, 480u, 1919u, 1920u, 1921u, 30000u, 96000u, 96001u, 150000u}) {
    auto y = enhancer().enhance(make_audio(tiny::signal(length), 48000, 1));
    EXPECT_EQ(y.samples.size(), length);
    EXPECT_EQ(y.sample_rate, 48000);
    for (float v : y.samples) {
      ASSERT_TRUE(std::isfinite(v)) << length;
    }
  }
}

TEST(Enhancement, PiecesOfAnySizeGiveTheSame) {
  auto x = tiny::signal(130000);
  for (bool live : {false, true}) {
    EnhancementOptions options{.window_seconds = 1, .live = live};
    auto whole = stream(x, x.size(), options);
    EXPECT_EQ(whole.size(), x.size());
    EXPECT_EQ(difference(stream(x, 777, options), whole), 0) << live;
  }
}

TEST(Enhancement, LiveResultsComeWithinTheStatedLatency) {
  for (int rate : {48000, 16000}) {
    EnhancementOptions options{
        .window_seconds = 1,
        .sample_rate = 0,
        .live = true,
        .hop_seconds = 0.1,
        .lookahead_seconds = 0.05};
    auto session = enhancer().session(rate, 1, options);
    EXPECT_LT(session.latency_seconds(), 0.3);
    auto x = tiny::signal(static_cast<size_t>(rate) * 2);
    auto block = static_cast<size_t>(rate) / 100;
    std::vector<float> out;
    for (size_t fed = block; fed <= x.size(); fed += block) {
      session.feed(std::span(x).subspan(fed - block, block));
      while (session.step(out)) {
      }
      double waiting =
          (static_cast<double>(fed) - static_cast<double>(out.size())) / rate;
      ASSERT_LE(waiting, session.latency_seconds()) << rate << " " << fed;
    }
  }
}

TEST(Enhancement, ChannelsAreEnhancedByThemselves) {
  auto left = tiny::signal(20000);
  std::vector<float> right(left.rbegin(), left.rend());
  std::vector<float> both;
  for (size_t i = 0; i < left.size(); ++i) {
    both.push_back(left[i]);
    both.push_back(right[i]);
  }
  auto y = enhancer().enhance(make_audio(both, 48000, 2));
  auto l = enhancer().enhance(make_audio(left, 48000, 1)).samples;
  auto r = enhancer().enhance(make_audio(right, 48000, 1)).samples;
  EXPECT_EQ(y.channels, 2);
  ASSERT_EQ(y.samples.size(), both.size());
  for (size_t i = 0; i < l.size(); ++i) {
    ASSERT_EQ(y.samples[2 * i], l[i]);
    ASSERT_EQ(y.samples[2 * i + 1], r[i]);
  }
}

TEST(Enhancement, EightChannels) {
  auto y = enhancer().enhance(make_audio(tiny::signal(8 * 3000), 48000, 8));
  EXPECT_EQ(y.samples.size(), 8u * 3000);
}

TEST(Enhancement, RatesAreChangedThereAndBack) {
  for (int rate : {8000, 16000, 44100, 96000}) {
    for (size_t length : {size_t{7}, size_t{12345}}) {
      auto x = make_audio(tiny::signal(length), rate, 1);
      auto back = enhancer().enhance(x, {.sample_rate = 0});
      EXPECT_EQ(back.sample_rate, rate);
      EXPECT_EQ(back.samples.size(), length) << rate;
      auto model = enhancer().enhance(x);
      EXPECT_EQ(model.sample_rate, 48000);
      EXPECT_EQ(
          model.samples.size(),
          static_cast<size_t>(
              std::llround(static_cast<double>(length) * 48000 / rate)));
      auto other = enhancer().enhance(x, {.sample_rate = 16000});
      EXPECT_EQ(other.sample_rate, 16000);
    }
  }
}

TEST(Enhancement, MixKeepsTheOriginalInPlace) {
  auto x = tiny::signal(120000);
  auto audio = make_audio(x, 48000, 1);
  EXPECT_LT(difference(enhancer().enhance(audio, {.mix = 1}).samples, x), 1e-6);
  auto clean = enhancer().enhance(audio).samples;
  auto mixed = enhancer().enhance(audio, {.mix = 0.25f}).samples;
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(mixed[i], 0.75f * clean[i] + 0.25f * x[i], 1e-6f);
  }
}

// The mask multiplies the spectrum, so nothing sets the level but the input.
TEST(Enhancement, LoudnessIsKept) {
  auto x = tiny::signal(30000);
  auto base = enhancer().enhance(make_audio(x, 48000, 1)).samples;
  double energy = 0;
  for (float v : base) {
    energy += static_cast<double>(v) * static_cast<double>(v);
  }
  EXPECT_GT(energy, 1); // of 30000 samples: not silence
  for (float& v : x) {
    v = -v; // phase
  }
  auto turned = enhancer().enhance(make_audio(x, 48000, 1)).samples;
  for (size_t i = 0; i < base.size(); ++i) {
    ASSERT_NEAR(turned[i], -base[i], 2e-5f);
  }
}

TEST(Enhancement, SilenceStaysSilence) {
  auto y = enhancer().enhance(make_audio(std::vector<float>(50000), 48000, 1));
  for (float v : y.samples) {
    ASSERT_EQ(v, 0);
  }
}

TEST(Enhancement, BadInputIsNamed) {
  auto bad = ErrorKind::invalid_argument;
  expect_error(
      [] { enhancer().enhance(make_audio({}, 48000, 1)); }, bad, "empty");
  auto x = tiny::signal(1000);
  x[123] = std::numeric_limits<float>::quiet_NaN();
  expect_error(
      [&] { enhancer().enhance(make_audio(x, 48000, 1)); }, bad, "123");
  x[123] = std::numeric_limits<float>::infinity();
  expect_error(
      [&] { enhancer().enhance(make_audio(x, 48000, 1)); }, bad, "123");
  expect_error([] { enhancer().session(48000, 0); }, bad, "channels");
  expect_error([] { enhancer().session(48000, 65); }, bad, "channels");
  expect_error([] { enhancer().session(10, 1); }, bad, "rate");
  expect_error([] { enhancer().session(48000, 1, {.mix = 2}); }, bad, "mix");
  expect_error(
      [] { enhancer().session(48000, 1, {.mix = std::nanf("")}); }, bad, "mix");
  expect_error(
      [] { enhancer().session(48000, 1, {.dither = -1}); }, bad, "dither");
  expect_error(
      [] { enhancer().session(48000, 1, {.window_seconds = 1e9}); },
      bad,
      "window_seconds");
  expect_error(
      [] {
        enhancer().session(
            48000, 1, {.segments = Segments::original, .live = true});
      },
      bad,
      "live");
  expect_error([] { parse_segments("cut"); }, bad, "'cut'");
  expect_error(
      [] {
        auto session = enhancer().session(48000, 2);
        session.feed(std::vector<float>(3));
      },
      bad,
      "3 samples");
}

} // namespace
} // namespace mlx_audio
