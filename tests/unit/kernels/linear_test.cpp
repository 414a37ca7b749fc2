// `linear` against its definition in MLX ops.
#include "kernels/linear.h"

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {
namespace {

// Largest |a - b| over the largest |b|.
float relative_error(const mx::array& a, const mx::array& b) {
  auto fa = mx::astype(a, mx::float32);
  auto fb = mx::astype(b, mx::float32);
  auto top = mx::max(mx::abs(fb)).item<float>();
  return mx::max(mx::abs(fa - fb)).item<float>() / top;
}

TEST(Linear, MatchesTheComposition) {
  for (bool bias : {false, true}) {
    for (auto activation :
         {Activation::none,
          Activation::relu,
          Activation::gelu,
          Activation::gelu_tanh,
          Activation::silu}) {
      LinearWeight w{.weight = mx::random::normal({37, 65})};
      if (bias) {
        w.bias = mx::random::normal({37});
      }
      auto x = mx::random::normal({2, 11, 65});
      auto y = linear(x, w, activation);
      EXPECT_EQ(y.shape(), (mx::Shape{2, 11, 37}));
      auto expected = [&] {
        ScopedMlxOps composition;
        return linear(x, w, activation);
      }();
      // f32 sums of 65 products in another order.
      EXPECT_LT(relative_error(y, expected), 1e-5f);
    }
  }
}

} // namespace
} // namespace mlx_audio::kernels
