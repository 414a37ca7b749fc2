#include "models/mossformer2_se/segmenter.h"

#include <cmath>

#include <gtest/gtest.h>

#include "models/mossformer2_se/config.h"
#include "unit/mossformer2_se/tiny_model.h"

namespace mlx_audio::mossformer2_se {
namespace {

SegmentPlan crossfade(int64_t window, int64_t overlap) {
  return {
      .window = window,
      .step = window - overlap,
      .first = window,
      .lookahead = overlap / 4,
      .fade = overlap / 2};
}

SegmentPlan live(int64_t window, int64_t hop, int64_t lookahead, int64_t fade) {
  return {
      .window = window,
      .step = hop,
      .first = hop + lookahead + fade,
      .lookahead = lookahead,
      .fade = fade};
}

std::vector<float> run(
    const SegmentPlan& plan,
    const std::vector<float>& x,
    size_t block,
    size_t* largest = nullptr) {
  Segmenter segmenter(plan, [&](std::span<const float> window, auto) {
    if (largest != nullptr) {
      *largest = std::max(*largest, window.size());
    }
    return std::vector<float>(window.begin(), window.end());
  });
  std::vector<float> out;
  for (size_t i = 0; i < x.size(); i += block) {
    segmenter.feed(std::span(x).subspan(i, std::min(block, x.size() - i)));
    while (segmenter.step(out)) {
    }
  }
  segmenter.close();
  while (segmenter.step(out)) {
  }
  return out;
}

// What goes in comes out when nothing is done to it: no sample is lost, doubled
// or moved, whatever the lengths.
TEST(Segmenter, CrossfadeIsTransparentForEveryLength) {
  for (const auto& plan :
       {crossfade(100, 20), crossfade(50, 24), live(100, 10, 6, 4)}) {
    for (size_t length = 1; length < 420; ++length) {
      auto x = tiny::signal(length);
      for (size_t block : {size_t{7}, size_t{1000}}) {
        size_t largest = 0;
        auto y = run(plan, x, block, &largest);
        ASSERT_EQ(y.size(), length);
        EXPECT_LE(largest, static_cast<size_t>(plan.window));
        for (size_t i = 0; i < length; ++i) {
          ASSERT_NEAR(y[i], x[i], 1e-6f) << length << " at " << i;
        }
      }
    }
  }
}

TEST(Segmenter, UpstreamsSegmentsKeepTheLength) {
  SegmentPlan original{
      .mode = Segments::original,
      .window = 40,
      .step = 30,
      .first = 60,
      .drop = 5};
  SegmentPlan chunked{
      .mode = Segments::chunked,
      .window = 40,
      .step = 30,
      .first = 40,
      .drop = 5};
  for (size_t length = 1; length < 400; ++length) {
    auto x = tiny::signal(length);
    auto y = run(original, x, 11);
    ASSERT_EQ(y.size(), length);
    // Upstream leaves zeros where only the last window's end reaches: when its
    // steps or its padding end there.
    size_t end = length;
    if (length > 60 && length <= 70) {
      end = 65;
    } else if (length > 70 && (length - 40) % 30 == 0) {
      end = length - 5;
    }
    for (size_t i = 0; i < length; ++i) {
      ASSERT_EQ(y[i], i < end ? x[i] : 0) << length << " at " << i;
    }
    EXPECT_EQ(run(chunked, x, 11), x) << length;
  }
}

TEST(Segmenter, LiveResultsComeWithinTheirLatency) {
  auto plan = live(400, 50, 20, 5);
  Segmenter segmenter(plan, [](std::span<const float> x, auto) {
    return std::vector<float>(x.begin(), x.end());
  });
  auto x = tiny::signal(1);
  std::vector<float> out;
  for (int64_t fed = 1; fed < 3000; ++fed) {
    segmenter.feed(x);
    while (segmenter.step(out)) {
    }
    int64_t latency = plan.step + plan.lookahead + plan.fade + 1;
    EXPECT_GE(static_cast<int64_t>(out.size()), fed - latency);
  }
}

// The joint of two windows that differ by a constant is a smooth ramp.
TEST(Segmenter, JointsRampOverTheFade) {
  auto plan = crossfade(100, 40);
  float level = 0;
  Segmenter segmenter(plan, [&](std::span<const float> x, auto) {
    level += 1;
    return std::vector<float>(x.size(), level);
  });
  std::vector<float> out;
  segmenter.feed(std::vector<float>(150));
  segmenter.close();
  while (segmenter.step(out)) {
  }
  ASSERT_EQ(out.size(), 150u);
  EXPECT_EQ(out[69], 1);
  EXPECT_EQ(out[90], 2);
  for (size_t i = 69; i < 90; ++i) {
    EXPECT_GE(out[i + 1], out[i]);
    EXPECT_LT(out[i + 1] - out[i], 0.1f);
  }
}

} // namespace
} // namespace mlx_audio::mossformer2_se
