// `linear` over float and quantized weights against its definition.
#include "kernels/linear.h"

#include <cmath>
#include <tuple>

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "unit/kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

// The definition in f32, whatever the types: what sums in f32 should give.
mx::array expected(
    const mx::array& x,
    const LinearWeight& w,
    Activation activation = Activation::none) {
  auto f32 = [](const mx::array& a) { return mx::astype(a, mx::float32); };
  auto weight = w.quantized()
      ? mx::dequantize(
            w.weight, f32(*w.scales), f32(*w.biases), w.group_size, w.bits)
      : f32(w.weight);
  ScopedMlxOps composition;
  LinearWeight plain{.weight = weight};
  if (w.bias) {
    plain.bias = f32(*w.bias);
  }
  return mx::astype(linear(f32(x), plain, activation), x.dtype());
}

// The largest sum of magnitudes, which f32 rounding is relative to.
float magnitude(const mx::array& x, const LinearWeight& w) {
  LinearWeight positive{.weight = w.weight};
  auto size = mx::abs(mx::astype(x, mx::float32));
  if (w.quantized()) {
    // Byte products round a value to 1e-6 of its group's largest.
    auto groups = mx::unflatten(size, -1, {-1, w.group_size});
    size = mx::flatten(
        mx::broadcast_to(mx::max(groups, -1, true), groups.shape()), -2, -1);
    // Ours is scale * sum(q x) + bias * sum(x): each part counts.
    positive.weight =
        mx::dequantize(
            w.weight,
            mx::astype(*w.scales, mx::float32),
            mx::zeros_like(*w.biases, mx::float32),
            w.group_size,
            w.bits) +
        mx::repeat(
            mx::abs(mx::astype(*w.biases, mx::float32)), w.group_size, 1);
  }
  positive.weight = mx::abs(mx::astype(positive.weight, mx::float32));
  return mx::max(expected(size, positive)).item<float>();
}

// Sums in another order; then each result is rounded, and the two may fall on
// neighbours: one unit in the last place (2^-7, 2^-10) of the largest.
void expect_linear(
    const mx::array& x,
    const LinearWeight& w,
    Activation activation,
    const std::string& what) {
  auto y = linear(x, w, activation);
  ASSERT_EQ(y.dtype(), x.dtype());
  auto e = expected(x, w, activation);
  float top = mx::max(mx::abs(mx::astype(e, mx::float32))).item<float>();
  float rounding = x.dtype() == mx::float32
      ? 1e-6f
      : (x.dtype() == mx::bfloat16 ? 1.0f / 128 : 1.0f / 1024);
  ASSERT_LE(
      relative_error(y, e) * top,
      rounding * top + 1e-6f * (magnitude(x, w) + 1))
      << what << " x " << x.shape() << " " << x.dtype() << " w "
      << w.weight.shape() << " " << w.weight.dtype();
}

TEST(Linear, BiasAndActivations) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    for (bool bias : {false, true}) {
      for (auto activation :
           {Activation::none,
            Activation::relu,
            Activation::gelu,
            Activation::gelu_tanh,
            Activation::silu}) {
        for (int rows : {1, 3, 22, 70}) { // gemv, gemm, oneDNN
          LinearWeight w{.weight = mx::random::normal({37, 65})};
          if (bias) {
            w.bias = mx::random::normal({37});
          }
          auto x = mx::random::normal({2, rows, 65});
          expect_linear(
              x,
              w,
              activation,
              target + " activation " +
                  std::to_string(static_cast<int>(activation)));
        }
      }
    }
  }
}

// Sizes around every block edge: tiles of 6 x 16, vectors, depth 256, pieces
// of 128 columns.
TEST(Linear, ShapesAndTypes) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    for (auto [out, in] : std::vector<std::pair<int, int>>{
             {1, 1},
             {1, 7},
             {5, 3},
             {17, 31},
             {16, 256},
             {33, 257},
             {129, 300},
             {143, 521}}) {
      for (int rows : {1, 3, 6, 97}) {
        for (auto wt : {mx::float32, mx::bfloat16, mx::float16}) {
          for (auto xt : {mx::float32, mx::bfloat16, mx::float16}) {
            LinearWeight w{
                .weight = mx::astype(mx::random::normal({out, in}), wt),
                .bias = mx::astype(mx::random::normal({out}), wt)};
            auto x = mx::astype(mx::random::normal({rows, in}), xt);
            expect_linear(x, w, Activation::none, target);
          }
        }
      }
    }
  }
}

LinearWeight quantized(const mx::array& w, int group, int bits) {
  auto q = mx::quantize(w, group, bits);
  return {
      .weight = q[0],
      .scales = q[1],
      .biases = q[2],
      .group_size = group,
      .bits = bits};
}

TEST(Linear, Quantized) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    for (int bits : {2, 3, 4, 5, 6, 8}) {
      for (int group : {32, 64, 128}) {
        for (int columns : {group, 3 * group + (group == 32 ? 160 : 128)}) {
          for (int out : {1, 37}) {
            for (auto type : {mx::float32, mx::bfloat16, mx::float16}) {
              auto w = quantized(
                  mx::astype(mx::random::normal({out, columns}), type),
                  group,
                  bits);
              w.bias = mx::random::normal({out});
              for (int rows : {1, 6, 23, 40}) {
                auto x = mx::astype(mx::random::normal({rows, columns}), type);
                expect_linear(
                    x,
                    w,
                    Activation::none,
                    target + " bits " + std::to_string(bits) + " group " +
                        std::to_string(group));
              }
            }
          }
        }
      }
    }
  }
}

// Around the edges of byte products: depth 512, panels of 32 outputs, tiles of
// 6 rows, blocks of 96; of AMX's: depth 1024, tiles of 16 rows, four panels.
TEST(Linear, QuantizedBlocks) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    for (int bits : {2, 3, 4, 5, 6, 8}) {
      for (int group : {32, 64, 128}) {
        for (auto type : {mx::float32, mx::bfloat16, mx::float16}) {
          for (auto [rows, out, columns] :
               std::vector<std::tuple<int, int, int>>{
                   {9, 32, 512},
                   {97, 33, 512 + group},
                   {110, 300, 1024 + 3 * group},
                   {203, 129, 1024 - group}}) {
            auto w = quantized(
                mx::astype(mx::random::normal({out, columns}), type),
                group,
                bits);
            auto x = mx::astype(mx::random::normal({rows, columns}), type);
            expect_linear(
                x,
                w,
                Activation::none,
                target + " bits " + std::to_string(bits) + " group " +
                    std::to_string(group));
          }
        }
      }
    }
  }
}

// What is not a number stays in its row, and so does what a large value costs
// its group: half a step of 2^-19 of it for each value.
TEST(Linear, QuantizedOutliers) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    auto key = [](uint64_t seed) { return mx::random::key(seed); };
    auto w =
        quantized(mx::random::normal({40, 256}, mx::float32, key(1)), 64, 4);
    auto x = mx::random::normal({40, 256}, mx::float32, key(2));
    auto spot = mx::reshape(mx::arange(40 * 256), {40, 256});
    auto large =
        mx::where(mx::equal(spot, mx::array(3 * 256 + 70)), mx::array(1e4f), x);
    auto error = mx::max(mx::abs(linear(large, w) - expected(large, w)), -1);
    // 64 half steps, by codes of up to 15 times the largest scale.
    float step = 1e4f * std::ldexp(1.0f, -19);
    float most = 64 * step / 2 * 15 * mx::max(mx::abs(*w.scales)).item<float>();
    for (int row = 0; row < 40; ++row) {
      float e = mx::take(error, row).item<float>();
      EXPECT_LT(e, row == 3 ? most : 1e-3f) << row;
    }
    auto broken = mx::where(
        mx::equal(spot, mx::array(7 * 256)), mx::array(std::nanf("")), x);
    auto bad = mx::any(mx::isnan(linear(broken, w)), -1);
    auto want = mx::equal(mx::arange(40), mx::array(7));
    EXPECT_TRUE(mx::array_equal(bad, want).item<bool>());
  }
}

// Two bytes of x hold 15 bits: half a step is 1.6e-5 of a group's largest.
TEST(Linear, CoarseInputsRoundAs16BitFloatsDo) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    auto x = mx::random::normal({40, 640});
    for (int bits : {4, 8}) {
      auto w = quantized(mx::random::normal({70, 640}), 64, bits);
      auto y = mx::contiguous(mx::zeros({40, 70}));
      mx::eval(x, y, w.weight, *w.scales, *w.biases);
      GemmArgs args;
      args.x = x.data<float>();
      args.m = 40;
      args.coarse_x = true;
      args.w = {
          .data = w.weight.data<void>(),
          .bits = bits,
          .group = 64,
          .scales = w.scales->data<void>(),
          .biases = w.biases->data<void>(),
          .rows = 70,
          .columns = 640};
      args.y = y.data<float>();
      linear_product(args);
      auto error = mx::max(mx::abs(y - expected(x, w))).item<float>();
      EXPECT_LE(error, 1.6e-5f * magnitude(x, w));
    }
  }
}

TEST(Linear, EmptyAndStridedInputs) {
  LinearWeight w{.weight = mx::random::normal({8, 6})};
  EXPECT_EQ(linear(mx::zeros({0, 6}), w).shape(), (mx::Shape{0, 8}));
  EXPECT_EQ(linear(mx::zeros({2, 0, 6}), w).shape(), (mx::Shape{2, 0, 8}));
  auto x = mx::transpose(mx::random::normal({6, 5}));
  EXPECT_LT(relative_error(linear(x, w), expected(x, w)), 3e-6f);
  LinearWeight t{.weight = mx::transpose(mx::random::normal({6, 8}))};
  EXPECT_LT(relative_error(linear(x, t), expected(x, t)), 3e-6f);
  EXPECT_EQ(linear(mx::ones({6}), w).shape(), (mx::Shape{8}));
}

TEST(Linear, ShowsItsInputsToObservers) {
  LinearWeight w{.weight = mx::random::normal({4, 6}), .paths = {"a.b"}};
  auto x = mx::random::normal({3, 6});
  std::vector<std::string> seen;
  {
    ScopedLinearObserver observer(
        [&](const LinearWeight& weight, const mx::array& input) {
          EXPECT_TRUE(mx::array_equal(input, x).item<bool>());
          seen.insert(seen.end(), weight.paths.begin(), weight.paths.end());
        });
    linear(x, w);
  }
  linear(x, w);
  EXPECT_EQ(seen, std::vector<std::string>{"a.b"});
}

TEST(Linear, RefusesWrongWidth) {
  LinearWeight w{.weight = mx::zeros({8, 6})};
  EXPECT_THROW(linear(mx::zeros({3, 5}), w), std::invalid_argument);
  EXPECT_THROW(linear(mx::array(1.0f), w), std::invalid_argument);
}

} // namespace
} // namespace mlx_audio::kernels
