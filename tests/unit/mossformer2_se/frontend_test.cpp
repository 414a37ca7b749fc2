#include "models/mossformer2_se/frontend.h"

#include <cmath>

#include <gtest/gtest.h>

#include "unit/mossformer2_se/tiny_model.h"

namespace mlx_audio::mossformer2_se {
namespace {

using Ends = Frontend::Ends;

TEST(Frontend, MaskOfOnesGivesTheSignalBack) {
  Frontend frontend({});
  for (size_t length :
       {1u, 2u, 480u, 1919u, 1920u, 1921u, 2304u, 2400u, 5000u, 14400u}) {
    auto x = tiny::signal(length);
    auto mask = mx::ones({frontend.frames(length), 961});
    for (auto ends : {Ends::filled, Ends::smooth}) {
      auto y = frontend.resynthesize(x, mask, ends);
      ASSERT_EQ(y.size(), length);
      for (size_t i = 0; i < length; ++i) {
        // Dividing by the end of the window multiplies rounding by 12.
        ASSERT_NEAR(y[i], x[i], 2e-6f) << length << " at " << i;
      }
    }
    auto y = frontend.resynthesize(x, mask, Ends::upstream);
    auto covered = static_cast<size_t>(mask.shape(0) - 1) * 384 + 1920;
    for (size_t i = 0; i < length; ++i) {
      ASSERT_NEAR(y[i], i < covered ? x[i] : 0, 2e-6f) << length;
    }
  }
}

TEST(Frontend, SilenceAndShortSignalsHaveFiniteFeatures) {
  Frontend frontend({});
  std::mt19937_64 noise;
  for (size_t length : {1u, 480u, 1920u, 4000u}) {
    auto f = frontend.features(std::vector<float>(length), 0, noise);
    EXPECT_EQ(f.shape(), (mx::Shape{frontend.frames(length), 180}));
    // The floor: log of the smallest f32 step above 1.
    EXPECT_NEAR(f.data<float>()[0], -15.942385f, 1e-5f);
    EXPECT_EQ(f.data<float>()[60], 0);
  }
}

TEST(Frontend, DitherIsSeeded) {
  Frontend frontend({});
  auto features = [&](uint64_t seed, float amplitude) {
    std::mt19937_64 noise(seed);
    return frontend.features(std::vector<float>(3000), amplitude, noise);
  };
  auto same = [](const mx::array& a, const mx::array& b) {
    return mx::array_equal(a, b).item<bool>();
  };
  EXPECT_TRUE(same(features(1, 1), features(1, 1)));
  EXPECT_FALSE(same(features(1, 1), features(2, 1)));
  EXPECT_TRUE(same(features(1, 0), features(2, 0)));
  EXPECT_GT(features(1, 1).data<float>()[0], -15.0f);
}

} // namespace
} // namespace mlx_audio::mossformer2_se
