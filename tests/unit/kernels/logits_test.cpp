#include "kernels/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/simd.h"

namespace mlx_audio::kernels {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Sizes around whole vectors, and a vocabulary; one in four is forbidden.
std::vector<float> logits(size_t size) {
  std::mt19937 random(static_cast<unsigned>(size));
  std::normal_distribution<float> normal(0, 5);
  std::vector<float> x(size);
  for (auto& v : x) {
    v = random() % 4 == 0 ? kNever : normal(random);
  }
  return x;
}

TEST(Logits, EqualTheirDefinitionOnEveryInstructionSet) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scoped(target);
    for (size_t size : {1, 3, 16, 63, 64, 65, 200, 51865}) {
      SCOPED_TRACE(target + ", " + std::to_string(size));
      auto x = logits(size);
      auto best = std::max_element(x.begin(), x.end());
      EXPECT_EQ(maximum(x), *best);
      EXPECT_EQ(argmax(x), best - x.begin());
      double sum = 0;
      for (float v : x) {
        sum += std::exp(static_cast<double>(v));
      }
      if (sum > 0) { // a few roundings of f32
        EXPECT_NEAR(
            log_sum_exp(x), std::log(sum), 2e-6 * (1 + std::abs(*best)));
      }
      std::vector<std::pair<float, int>> sorted;
      for (size_t i = 0; i < size; ++i) {
        if (x[i] > kNever) {
          sorted.emplace_back(x[i], static_cast<int>(i));
        }
      }
      std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) {
        return a.first > b.first;
      });
      sorted.resize(std::min<size_t>(sorted.size(), 6));
      EXPECT_EQ(largest(x, 6), sorted);
    }
  }
}

TEST(Logits, EqualValuesKeepTheirOrder) {
  std::vector<float> x(100, 1.0f);
  EXPECT_EQ(argmax(x), 0);
  auto top = largest(x, 3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].second, 0);
  EXPECT_EQ(top[2].second, 2);
}

TEST(Logits, NothingAllowed) {
  for (size_t size : {0, 100}) {
    std::vector<float> x(size, kNever);
    EXPECT_EQ(maximum(x), kNever);
    EXPECT_EQ(argmax(x), 0);
    EXPECT_EQ(log_sum_exp(x), kNever);
    EXPECT_TRUE(largest(x, 3).empty());
  }
}

} // namespace
} // namespace mlx_audio::kernels
