// LSTM, norms, gate, snake and leaky ReLU: the CPU kernels against
// the compositions of MLX ops. Tolerances: sine and tanh are within 3e-7; norms
// divide by a standard deviation of f32 sums.
#include <gtest/gtest.h>

#include "kernels/activation.h"
#include "kernels/add_scaled.h"
#include "kernels/cpu_op.h"
#include "kernels/lstm.h"
#include "kernels/norm.h"

namespace mlx_audio::kernels {
namespace {

mx::array random(const mx::Shape& shape, int seed, float scale = 1) {
  return mx::random::normal(shape, mx::float32, mx::random::key(seed)) *
      mx::array(scale);
}

float difference(const mx::array& a, const mx::array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return mx::max(mx::abs(a - b)).item<float>();
}

template <class Function>
mx::array with_mlx_ops(Function&& function) {
  ScopedMlxOps mlx;
  auto y = function();
  mx::eval(y);
  return y;
}

struct Sizes {
  int batch, time, width, hidden;
};

class Lstm : public ::testing::TestWithParam<Sizes> {};

TEST_P(Lstm, EqualsMlx) {
  auto [batch, time, width, hidden] = GetParam();
  auto make = [&](int seed) -> LstmWeight {
    return {
        random({4 * hidden, width}, seed, 0.3f),
        random({4 * hidden, hidden}, seed + 1, 0.3f),
        random({4 * hidden}, seed + 2)};
  };
  auto x = random({batch, time, width}, 1);
  auto forward = make(10);
  auto backward = make(20);
  auto want =
      with_mlx_ops([&] { return bidirectional_lstm(x, forward, backward); });
  EXPECT_LT(difference(bidirectional_lstm(x, forward, backward), want), 1e-5f);

  auto h0 = random({batch, hidden}, 30);
  auto c0 = random({batch, hidden}, 31);
  auto one = [&] {
    auto r = lstm(x, forward, false, h0, c0);
    return mx::concatenate(
        {mx::flatten(r.output), mx::flatten(r.h), mx::flatten(r.c)});
  };
  EXPECT_LT(difference(one(), with_mlx_ops(one)), 1e-5f);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes,
    Lstm,
    ::testing::Values(
        Sizes{1, 1, 3, 1},
        Sizes{2, 9, 5, 7},
        Sizes{1, 60, 64, 128},
        Sizes{3, 17, 10, 33}));

struct NormCase {
  int batch, time, channels;
  float offset;
};

class AdaInstanceNorm : public ::testing::TestWithParam<NormCase> {};

TEST_P(AdaInstanceNorm, EqualsMlx) {
  auto [batch, time, channels, offset] = GetParam();
  auto x = random({batch, time, channels}, 1) + mx::array(offset);
  auto gamma = random({batch, channels}, 2);
  auto beta = random({batch, channels}, 3);
  auto alpha = mx::abs(random({channels}, 4)) + mx::array(0.1f);
  auto snake_norm = [&] {
    return ada_instance_norm(x, {gamma, beta, 1e-5f, alpha});
  };
  auto leaky_norm = [&] {
    return ada_instance_norm(x, {gamma, beta, 1e-5f, std::nullopt, 0.2f});
  };
  // A long sequence or a mean far from zero costs the composition digits
  // (it sums 3000 values in f32 one by one), not the kernel.
  float tolerance = offset == 0 ? 5e-5f : 2e-3f;
  EXPECT_LT(difference(snake_norm(), with_mlx_ops(snake_norm)), tolerance);
  EXPECT_LT(difference(leaky_norm(), with_mlx_ops(leaky_norm)), tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    AdaInstanceNorm,
    ::testing::Values(
        NormCase{1, 2, 3, 0},
        NormCase{2, 50, 64, 0},
        NormCase{1, 3000, 37, 0},
        NormCase{1, 700, 128, 100}));

TEST(Snake, EqualsMlx) {
  auto x = random({2, 33, 21}, 5, 20);
  auto alpha = mx::abs(random({21}, 6)) + mx::array(0.05f);
  auto run = [&] { return snake(x, alpha); };
  EXPECT_LT(difference(run(), with_mlx_ops(run)), 1e-4f);
}

TEST(LeakyRelu, EqualsMlx) {
  auto x = random({3, 19}, 7);
  auto run = [&] { return leaky_relu(x, 0.1f); };
  EXPECT_EQ(difference(run(), with_mlx_ops(run)), 0.0f);
}

TEST(GlobalNorm, EqualsMlx) {
  const int dim = 180;
  for (int time : {1, 33, 500}) {
    auto x = random({time, dim}, time, 3) - mx::array(1.0f);
    GlobalNorm norm{random({dim}, 1), random({dim}, 2), 1e-8f};
    auto skipping = norm;
    skipping.skip = random({time, dim}, 3);
    skipping.slope = mx::array({0.25f});
    auto both = [&] {
      return mx::stack({global_norm(x, norm), global_norm(x, skipping)});
    };
    // MLX sums up to 9e4 values in f32, the kernel in f64.
    EXPECT_LT(difference(both(), with_mlx_ops(both)), 6e-5f) << time;
  }
}

TEST(RmsNorm, EqualsMlx) {
  for (int dim : {1, 3, 16, 37, 512}) {
    auto x = random({2, 9, dim}, dim, 3);
    auto weight = random({dim}, 1);
    auto norm = [&] { return rms_norm(x, weight, 1e-5f); };
    EXPECT_LT(difference(norm(), with_mlx_ops(norm)), 1e-5f) << dim;
  }
  EXPECT_THROW(
      rms_norm(random({2, 4}, 1), random({3}, 1), 1e-5f),
      std::invalid_argument);
}

TEST(AddScaled, EqualsMlx) {
  for (int dim : {1, 16, 37}) {
    auto x = random({5, dim}, 1);
    auto branch = random({5, dim}, 2);
    auto scale = random({dim}, 3);
    auto sum = [&] { return add_scaled(x, branch, scale); };
    EXPECT_LT(difference(sum(), with_mlx_ops(sum)), 1e-6f) << dim;
  }
  EXPECT_THROW(
      add_scaled(random({2, 4}, 1), random({2, 4}, 1), random({3}, 1)),
      std::invalid_argument);
}

TEST(TanhGate, EqualsMlx) {
  auto x = random({37, 2 * 51}, 1, 5);
  auto gate = [&] { return tanh_gate(x); };
  EXPECT_LT(difference(gate(), with_mlx_ops(gate)), 1e-6f);
}

} // namespace
} // namespace mlx_audio::kernels
