// elu against MLX's ops, for every instruction set, at sizes around vectors and
// blocks.
#include "kernels/elu.h"

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "kernels/simd.h"
#include "mlx/random.h"

namespace mlx_audio::kernels {
namespace {

TEST(Elu, EqualsMlx) {
  for (int count : {1, 7, 16, 4095, 4096, 70'003}) {
    auto x = mx::random::normal(
        {1, count, 1}, mx::float32, 0.0f, 30.0f, mx::random::key(count));
    auto want = [&] {
      ScopedMlxOps mlx;
      auto y = elu(x);
      y.eval();
      return y;
    }();
    for (const auto& target : simd_targets()) {
      ScopedSimdTarget scope(target);
      auto y = elu(x);
      // e^x of the kernel is exact to 1.2e-7.
      EXPECT_LE(mx::max(mx::abs(y - want)).item<float>(), 2e-7f)
          << target << " " << count;
    }
  }
}

TEST(Elu, EndsOfTheRange) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  auto y = elu(mx::array({-inf, -200.0f, 0.0f, 3e38f, inf}));
  y.eval();
  EXPECT_EQ(y.data<float>()[0], -1);
  EXPECT_EQ(y.data<float>()[1], -1);
  EXPECT_EQ(y.data<float>()[2], 0);
  EXPECT_EQ(y.data<float>()[3], 3e38f);
  EXPECT_EQ(y.data<float>()[4], inf);
}

} // namespace
} // namespace mlx_audio::kernels
