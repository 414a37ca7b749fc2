// Each CPU path of conv1d and conv_transpose1d against the composition of MLX
// ops, over shapes that reach every branch. Tolerance: f32 sums of `taps * in`
// products in another order, relative to the result's largest value.
#include "kernels/conv1d.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "kernels/panels.h"
#include "kernels/simd.h"

namespace mlx_audio::kernels {
namespace {

struct Case {
  int batch, time, in, out, kernel;
  Conv1dOptions options;
  bool residual = false;
};

float relative_error(const mx::array& got, const mx::array& want) {
  EXPECT_EQ(got.shape(), want.shape());
  auto error = mx::max(mx::abs(got - want)) /
      mx::maximum(mx::max(mx::abs(want)), mx::array(1e-6f));
  return error.item<float>();
}

mx::array random(const mx::Shape& shape, int seed) {
  return mx::random::normal(shape, mx::float32, mx::random::key(seed));
}

// What a function of ours is defined as.
template <class Function>
mx::array by_mlx(const Function& function) {
  ScopedMlxOps mlx;
  auto y = function();
  mx::eval(y);
  return y;
}

class Conv1d : public ::testing::TestWithParam<Case> {};

TEST_P(Conv1d, EqualsMlx) {
  Case c = GetParam();
  auto x = random({c.batch, c.time, c.in}, 1);
  Conv1dWeight w{
      .weight = random({c.out, c.kernel, c.in / c.options.groups}, 2),
      .bias = random({c.out}, 3)};
  std::optional<mx::array> residual;
  auto plain = by_mlx([&] { return conv1d(x, w, c.options); });
  if (c.residual) {
    residual = random(plain.shape(), 4);
  }
  auto want = residual ? plain + *residual : plain;
  auto got = conv1d(x, w, c.options, residual);
  EXPECT_LT(relative_error(got, want), 2e-5f);
  auto again = conv1d(x, w, c.options, residual); // from the packed weights
  EXPECT_EQ(relative_error(again, got), 0.0f);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    Conv1d,
    ::testing::Values(
        Case{1, 7, 3, 5, 1, {}},
        Case{2, 50, 24, 40, 5, {.pad_left = 2, .pad_right = 2}},
        Case{1, 1, 8, 8, 3, {.pad_left = 1, .pad_right = 1}},
        Case{1, 31, 22, 16, 12, {.stride = 6, .pad_left = 3, .pad_right = 3}},
        Case{
            2,
            64,
            16,
            8,
            3,
            {.pad_left = 4, .pad_right = 0, .dilation = 2},
            true},
        // depthwise
        Case{2, 40, 48, 48, 17, {.pad_left = 8, .pad_right = 8, .groups = 48}},
        Case{1, 20, 6, 6, 3, {.stride = 2, .pad_left = 1, .groups = 6}},
        // Fourier: tiles of 64 and of 32, dilations, ends, both batches
        Case{1, 300, 64, 64, 3, {.pad_left = 1, .pad_right = 1}},
        Case{
            1,
            301,
            128,
            128,
            11,
            {.pad_left = 25, .pad_right = 25, .dilation = 5},
            true},
        Case{
            2,
            457,
            128,
            64,
            7,
            {.pad_left = 9, .pad_right = 9, .dilation = 3},
            true},
        Case{1, 200, 256, 256, 7, {.pad_left = 3, .pad_right = 3}, true},
        Case{1, 150, 256, 128, 11, {}},
        Case{1, 97, 256, 256, 3, {.pad_left = 2}}));

// Every instruction set that this machine has, with bf16 weights in the form
// that it takes them in.
std::vector<std::string> targets() {
  return simd_targets();
}

class Bf16Conv1d : public ::testing::TestWithParam<Case> {};

TEST_P(Bf16Conv1d, IsWithinItsRounding) {
  Case c = GetParam();
  auto x = random({c.batch, c.time, c.in}, 5);
  auto weight = mx::astype(random({c.out, c.kernel, c.in}, 6), mx::bfloat16);
  auto bias = random({c.out}, 7);
  Conv1dWeight full{.weight = mx::astype(weight, mx::float32), .bias = bias};
  AdaNorm norm{
      random({c.batch, c.in}, 8),
      random({c.batch, c.in}, 9),
      1e-5f,
      mx::abs(random({c.in}, 10)) + mx::array(0.1f)};
  auto plain = conv1d(x, full, c.options);
  auto residual = random(plain.shape(), 4);
  auto want = plain + residual;
  auto want_normed = [&] {
    ScopedMlxOps mlx;
    auto y = ada_norm_conv1d(x, norm, full, c.options, residual);
    mx::eval(y);
    return y;
  }();
  mx::eval(want);
  for (const auto& target : targets()) {
    ScopedSimdTarget scoped(target);
    Conv1dWeight w{.weight = weight, .bias = bias}; // packed for the target
    // A product of pairs rounds both factors to 2^-9, f16 the weight to 2^-11;
    // averaged over the sum, relative to its largest value.
    const float tolerance = has_bf16_pairs() ? 4e-3f : 5e-4f;
    auto got = conv1d(x, w, c.options, residual);
    EXPECT_LT(relative_error(got, want), tolerance) << target;
    auto normed = ada_norm_conv1d(x, norm, w, c.options, residual);
    EXPECT_LT(relative_error(normed, want_normed), tolerance + 1e-4f) << target;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    Bf16Conv1d,
    ::testing::Values(
        Case{1, 400, 128, 128, 7, {.pad_left = 3, .pad_right = 3}},
        Case{
            2,
            301,
            128,
            64,
            11,
            {.pad_left = 25, .pad_right = 25, .dilation = 5}},
        Case{1, 200, 256, 256, 11, {.pad_left = 5, .pad_right = 5}},
        Case{
            1,
            777,
            256,
            256,
            3,
            {.pad_left = 3, .pad_right = 3, .dilation = 3}},
        Case{1, 33, 1090, 1024, 3, {.pad_left = 1, .pad_right = 1}}, // by
                                                                     // columns
        Case{1, 60, 514, 1024, 1, {}},
        Case{1, 500, 128, 22, 7, {.pad_left = 3, .pad_right = 3}},
        Case{1, 31, 22, 16, 12, {.stride = 6, .pad_left = 3, .pad_right = 3}},
        Case{2, 50, 3, 5, 5, {.pad_left = 2, .pad_right = 2}},
        Case{1, 1, 8, 8, 3, {.pad_left = 1, .pad_right = 1}},
        // Fourier beside direct weights: as one, and as the other
        Case{
            1,
            900,
            288,
            288,
            7,
            {.pad_left = 18, .dilation = 3, .long_sequences = true}},
        Case{1, 40, 288, 288, 7, {.pad_left = 6, .long_sequences = true}}));

// A sequence in two parts, the first of them as the past of the second.
TEST_P(Bf16Conv1d, APastLiesBeforeTheInput) {
  Case c = GetParam();
  c.time += 20; // so that there is something to cut
  auto all = random({c.batch, c.time, c.in}, 61);
  const int cut = 13;
  auto past = mx::slice(all, {0, 0, 0}, {c.batch, cut, c.in});
  auto x = mx::slice(all, {0, cut, 0}, {c.batch, c.time, c.in});
  SnakeBeta function{mx::exp(random({c.in}, 62)), mx::exp(random({c.in}, 63))};
  auto weight = random({c.out, c.kernel, c.in}, 64);
  for (auto dtype : {mx::float32, mx::bfloat16}) {
    for (const auto& target : targets()) {
      ScopedSimdTarget scoped(target);
      Conv1dWeight w{.weight = mx::astype(weight, dtype)};
      // The same products; tiles and blocks may begin elsewhere.
      const float tolerance = 2e-5f;
      auto want = conv1d(all, w, c.options);
      auto got = conv1d(x, w, c.options, std::nullopt, past);
      EXPECT_LT(relative_error(got, want), tolerance) << target;
      want = snake_conv1d(all, function, w, c.options);
      got = snake_conv1d(x, function, w, c.options, std::nullopt, past);
      EXPECT_LT(relative_error(got, want), tolerance) << target;
    }
  }
}

// The f32 kernels of every instruction set, with the norm read on the way in.
TEST(Conv1d, NormOnTheWayInEqualsMlx) {
  for (int kernel : {1, 3, 11}) {
    auto x = random({2, 203, 64}, 21);
    Conv1dWeight w{.weight = random({48, kernel, 64}, 22)};
    AdaNorm norm{
        random({2, 64}, 23), random({2, 64}, 24), 1e-5f, std::nullopt, 0.2f};
    Conv1dOptions options{.pad_left = kernel / 2, .pad_right = kernel / 2};
    auto want = by_mlx([&] { return ada_norm_conv1d(x, norm, w, options); });
    for (const auto& target : targets()) {
      ScopedSimdTarget scoped(target);
      Conv1dWeight own{.weight = w.weight};
      EXPECT_LT(
          relative_error(ada_norm_conv1d(x, norm, own, options), want), 1e-4f)
          << target << " " << kernel;
    }
  }
}

TEST(Conv1d, SnakeOnTheWayInEqualsMlx) {
  auto x = random({2, 203, 64}, 51);
  SnakeBeta function{mx::exp(random({64}, 52)), mx::exp(random({64}, 53))};
  for (int kernel : {1, 7}) {
    Conv1dWeight w{.weight = random({48, kernel, 64}, 54)};
    Conv1dOptions options{.pad_left = kernel - 1};
    auto run = [&] { return snake_conv1d(x, function, w, options); };
    EXPECT_LT(relative_error(run(), by_mlx(run)), 2e-5f) << kernel;
  }
  Conv1dWeight w{.weight = random({24, 8, 64}, 55)};
  ConvTranspose1dOptions options{.stride = 4, .padding = 4};
  auto run = [&] { return snake_conv_transpose1d(x, function, w, options); };
  EXPECT_LT(relative_error(run(), by_mlx(run)), 2e-5f);
}

// The residual's memory is taken for the result only if nobody else holds it.
TEST(Conv1d, LeavesAResidualThatIsStillHeldAsItIs) {
  auto x = random({1, 300, 64}, 25);
  Conv1dWeight w{.weight = random({64, 3, 64}, 26)};
  Conv1dOptions options{.pad_left = 1, .pad_right = 1};
  auto residual = random({1, 300, 64}, 27);
  auto copy = residual + mx::array(0.0f);
  mx::eval(residual, copy);
  auto kept = conv1d(x, w, options, residual);
  mx::eval(kept);
  EXPECT_EQ(relative_error(residual, copy), 0.0f);
  auto given = conv1d(x, w, options, std::move(residual));
  EXPECT_EQ(relative_error(given, kept), 0.0f);
}

TEST(Conv1d, WeightsOfAnF16CheckpointStayExact) {
  auto x = random({1, 100, 80}, 14); // Whisper's first convolution
  auto weight = mx::astype(random({512, 3, 80}, 15), mx::float16);
  Conv1dOptions options{.pad_left = 1, .pad_right = 1};
  Conv1dWeight w{.weight = weight};
  Conv1dWeight full{.weight = mx::astype(weight, mx::float32)};
  EXPECT_EQ(relative_error(conv1d(x, w, options), conv1d(x, full, options)), 0);
}

TEST(Conv1d, KeepsTheInputsDtype) {
  auto x = mx::astype(random({1, 20, 8}, 7), mx::bfloat16);
  Conv1dWeight w{.weight = mx::astype(random({4, 3, 8}, 8), mx::bfloat16)};
  EXPECT_EQ(conv1d(x, w).dtype(), mx::bfloat16);
}

TEST(Conv1d, APastGoesThroughMlxToo) {
  auto all = random({2, 60, 16}, 81);
  auto past = mx::slice(all, {0, 0, 0}, {2, 9, 16});
  auto x = mx::slice(all, {0, 9, 0}, {2, 60, 16});
  Conv1dWeight w{.weight = random({8, 4, 16}, 82)};
  auto want = by_mlx([&] { return conv1d(all, w); });
  auto by = by_mlx([&] { return conv1d(x, w, {}, std::nullopt, past); });
  EXPECT_LT(relative_error(by, want), 2e-5f);
  EXPECT_THROW(
      conv1d(x, w, {}, std::nullopt, random({2, 9, 15}, 83)),
      std::invalid_argument);
}

TEST(Conv1d, RejectsWrongChannels) {
  Conv1dWeight w{.weight = random({4, 3, 8}, 9)};
  EXPECT_THROW(conv1d(random({1, 20, 7}, 10), w), std::invalid_argument);
}

struct TransposeCase {
  int batch, time, in, out, kernel;
  ConvTranspose1dOptions options;
};

class ConvTranspose1d : public ::testing::TestWithParam<TransposeCase> {};

TEST_P(ConvTranspose1d, APastLiesBeforeTheInput) {
  TransposeCase c = GetParam();
  auto all = random({c.batch, c.time, c.in}, 71);
  auto past = mx::slice(all, {0, 0, 0}, {c.batch, 3, c.in});
  auto x = mx::slice(all, {0, 3, 0}, {c.batch, c.time, c.in});
  SnakeBeta function{mx::exp(random({c.in}, 72)), mx::exp(random({c.in}, 73))};
  Conv1dWeight w{
      .weight = random({c.out, c.kernel, c.in / c.options.groups}, 74)};
  EXPECT_LT(
      relative_error(
          conv_transpose1d(x, w, c.options, past),
          conv_transpose1d(all, w, c.options)),
      2e-5f);
  EXPECT_LT(
      relative_error(
          snake_conv_transpose1d(x, function, w, c.options, past),
          snake_conv_transpose1d(all, function, w, c.options)),
      2e-5f);
}

TEST_P(ConvTranspose1d, EqualsMlx) {
  TransposeCase c = GetParam();
  auto x = random({c.batch, c.time, c.in}, 11);
  Conv1dWeight w{
      .weight = random({c.out, c.kernel, c.in / c.options.groups}, 12),
      .bias = random({c.out}, 13)};
  auto want = by_mlx([&] { return conv_transpose1d(x, w, c.options); });
  EXPECT_LT(relative_error(conv_transpose1d(x, w, c.options), want), 2e-5f);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    ConvTranspose1d,
    ::testing::Values(
        TransposeCase{1, 20, 16, 8, 20, {.stride = 10, .padding = 5}},
        TransposeCase{2, 33, 8, 16, 12, {.stride = 6, .padding = 3}},
        TransposeCase{2, 33, 8, 16, 12, {.stride = 6, .padding = 6}},
        TransposeCase{1, 7, 8, 16, 12, {.stride = 4, .padding = 9}},
        TransposeCase{1, 9, 5, 7, 5, {.stride = 2}},
        TransposeCase{1, 9, 5, 7, 4, {.stride = 3, .padding = 1}},
        TransposeCase{1, 12, 4, 4, 4, {.stride = 2, .output_padding = 1}},
        TransposeCase{
            1,
            25,
            32,
            32,
            3,
            {.stride = 2, .padding = 1, .output_padding = 1, .groups = 32}}));

} // namespace
} // namespace mlx_audio::kernels
