// Our CPU kernels against their definitions in MLX ops, with every instruction
// set that this CPU has.
#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "kernels/depthwise_conv1d.h"
#include "kernels/gated_attention.h"
#include "kernels/simd.h"

namespace mlx_audio::kernels {
namespace {

mx::array random(const mx::Shape& shape, uint64_t seed) {
  return mx::random::normal(shape, mx::float32, 0, 1, mx::random::key(seed));
}

template <class Function>
void expect_equal(Function function, float tolerance) {
  auto want = [&] {
    ScopedMlxOps mlx;
    auto y = function();
    mx::eval(y);
    return y;
  }();
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    auto got = function();
    ASSERT_EQ(got.shape(), want.shape());
    EXPECT_LT(mx::max(mx::abs(got - want)).template item<float>(), tolerance)
        << target;
  }
}

struct Size {
  int time;
  int channels;
  int kernel;
};

class Depthwise : public testing::TestWithParam<Size> {};

TEST_P(Depthwise, EqualsItsDefinition) {
  auto [time, channels, kernel] = GetParam();
  auto x = random({time, channels}, 1);
  auto weight = random({kernel, channels}, 2);
  auto residual = random({time, channels}, 3);
  // Sums of at most 40 products of values near 1.
  expect_equal([&] { return depthwise_residual_conv1d(x, weight); }, 2e-5f);
  expect_equal(
      [&] { return depthwise_residual_conv1d(x, weight, residual); }, 2e-5f);
  auto v = random({time, channels}, 4);
  auto input = random({time, channels}, 5);
  expect_equal(
      [&] { return fsmn_gate(x, weight, residual, v, input, 1e-5f); }, 2e-5f);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes,
    Depthwise,
    testing::Values(
        Size{1, 8, 17},
        Size{3, 13, 39},
        Size{16, 32, 1},
        Size{17, 40, 17},
        Size{131, 67, 39},
        Size{300, 64, 17}));

TEST(ScaleNorm, ShiftsHalfTheChannels) {
  for (int time : {1, 2, 37}) {
    auto x = random({time, 26}, 6);
    expect_equal([&] { return shift_scale_norm(x, 1e-5f); }, 1e-5f);
  }
  auto zeros = mx::zeros({3, 8});
  expect_equal([&] { return shift_scale_norm(zeros, 1e-5f); }, 1e-6f);
}

TEST(PreluLayerNorm, BothResultsEqualTheirDefinition) {
  auto x = random({19, 45}, 7);
  auto weight = random({45}, 8);
  auto bias = random({45}, 9);
  auto slope = mx::array({0.2f});
  expect_equal(
      [&] { return prelu_layer_norm(x, slope, weight, bias, 1e-5f).normed; },
      1e-5f);
  expect_equal(
      [&] { return prelu_layer_norm(x, slope, weight, bias, 1e-5f).again; },
      2e-5f);
}

TEST(GatedAttention, EqualsItsDefinition) {
  for (int time : {1, 30, 32, 33, 100}) {
    int e = 24;
    int d = 20;
    auto hidden = random({time, 2 * e + d}, 10);
    auto gamma = random({4, d}, 11);
    auto beta = random({4, d}, 12);
    auto angle = random({time, 8}, 13);
    auto rotary = mx::concatenate({mx::cos(angle), mx::sin(angle)}, 1);
    // Rows have norm 1; att() before the norm reaches some hundreds.
    expect_equal(
        [&] {
          return gated_attention(
              hidden, gamma, beta, rotary, {.value_dim = e, .group = 32});
        },
        2e-4f);
  }
}

} // namespace
} // namespace mlx_audio::kernels
