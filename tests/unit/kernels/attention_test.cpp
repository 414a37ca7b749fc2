// `attention` against softmax(q k^T) v written out in f32.
#include "kernels/attention.h"

#include <string>

#include <gtest/gtest.h>

#include "kernels/cpu_op.h"
#include "kernels/simd.h"
#include "unit/kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

mx::array expected(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    float scale,
    Mask mask,
    const std::optional<mx::array>& bias) {
  auto f32 = [](const mx::array& a) { return mx::astype(a, mx::float32); };
  int groups = q.shape(1) / k.shape(1);
  auto scores =
      mx::matmul(
          f32(q), mx::transpose(mx::repeat(f32(k), groups, 1), {0, 1, 3, 2})) *
      mx::array(scale);
  if (bias) {
    scores = scores + f32(*bias);
  }
  if (mask == Mask::causal) {
    int queries = q.shape(2);
    int keys = k.shape(2);
    auto later = mx::greater(
        mx::expand_dims(mx::arange(keys), 0),
        mx::expand_dims(mx::arange(keys - queries, keys), 1));
    scores = mx::where(later, mx::array(-INFINITY), scores);
  }
  return mx::astype(
      mx::matmul(mx::softmax(scores, -1), mx::repeat(f32(v), groups, 1)),
      q.dtype());
}

// Results are means of normal values: f32 sums in another order, then one
// rounding that may fall on a neighbour.
float tolerance(mx::Dtype dtype) {
  return dtype == mx::float32 ? 3e-6f : (dtype == mx::bfloat16 ? 8e-3f : 1e-3f);
}

mx::array normal(const mx::Shape& shape, mx::Dtype dtype) {
  return mx::astype(mx::random::normal(shape), dtype);
}

// Few queries (K and V as they lie), many (panels), and the edges of blocks of
// 48 queries, 256 keys and 16 columns.
TEST(Attention, Shapes) {
  struct Size {
    int batch, heads, kv_heads, queries, keys, dim, value_dim;
  };
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    for (const auto& s : std::vector<Size>{
             {1, 1, 1, 1, 1, 1, 1},
             {2, 4, 2, 1, 37, 64, 64},
             {1, 6, 2, 3, 300, 80, 80},
             {1, 2, 2, 4, 20, 33, 7},
             {2, 4, 1, 50, 50, 32, 32},
             {1, 2, 1, 13, 259, 128, 128},
             {1, 1, 1, 101, 530, 61, 35}}) {
      for (auto type : {mx::float32, mx::bfloat16, mx::float16}) {
        for (auto mask : {Mask::none, Mask::causal}) {
          for (bool has_bias : {false, true}) {
            auto q = normal({s.batch, s.heads, s.queries, s.dim}, type);
            auto k = normal({s.batch, s.kv_heads, s.keys, s.dim}, type);
            auto v = normal({s.batch, s.kv_heads, s.keys, s.value_dim}, type);
            std::optional<mx::array> bias;
            if (has_bias) {
              bias = normal({s.heads, s.queries, s.keys}, mx::float32);
            }
            float scale = 1 / std::sqrt(static_cast<float>(s.dim));
            ASSERT_LT(
                relative_error(
                    attention(q, k, v, scale, mask, bias),
                    expected(q, k, v, scale, mask, bias)),
                tolerance(type))
                << target << " " << q.shape() << " " << k.shape() << " " << type
                << " causal " << (mask == Mask::causal) << " bias " << has_bias;
          }
        }
      }
    }
  }
}

// Heads that are views of [batch, time, heads, dim], and a window of a cache.
TEST(Attention, StridedInputs) {
  auto heads = [](int time) {
    return mx::transpose(mx::random::normal({2, time, 3, 64}), {0, 2, 1, 3});
  };
  for (int queries : {1, 40}) {
    auto q = heads(queries);
    auto cache = mx::random::normal({2, 3, 512, 64});
    auto k = mx::slice(cache, {0, 0, 5, 0}, {2, 3, 105, 64});
    auto v = heads(100);
    auto y = attention(q, k, v, 0.125f);
    EXPECT_EQ(y.shape(), (mx::Shape{2, 3, queries, 64}));
    EXPECT_LT(
        relative_error(y, expected(q, k, v, 0.125f, Mask::none, {})), 3e-6f);
    // The last axis strided.
    auto kt = mx::transpose(mx::random::normal({2, 3, 64, 100}), {0, 1, 3, 2});
    EXPECT_LT(
        relative_error(
            attention(q, kt, v, 0.125f),
            expected(q, kt, v, 0.125f, Mask::none, {})),
        3e-6f);
  }
}

TEST(Attention, HiddenKeysAndExtremeScores) {
  auto q = mx::random::normal({1, 1, 60, 32}) * mx::array(100.0f);
  auto k = mx::random::normal({1, 1, 600, 32}) * mx::array(100.0f);
  auto v = mx::random::normal({1, 1, 600, 32});
  // The first 300 keys hidden, so that a whole block is; scores of 1e5.
  auto bias = mx::where(
      mx::less(mx::arange(600), mx::array(300)),
      mx::array(-INFINITY),
      mx::array(0.0f));
  for (int queries : {2, 60}) {
    auto part = mx::slice(q, {0, 0, 0, 0}, {1, 1, queries, 32});
    // Scores of 1e5 are exact to 1e-2 only: their weights to 1 %.
    EXPECT_LT(
        relative_error(
            attention(part, k, v, 1.0f, Mask::none, bias),
            expected(part, k, v, 1.0f, Mask::none, bias)),
        1e-2f);
  }
  // A query that sees nothing gives zeros.
  auto none = attention(
      q, k, v, 1.0f, Mask::none, mx::full({600}, -INFINITY, mx::float32));
  EXPECT_EQ(mx::max(mx::abs(none)).item<float>(), 0);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  auto q = mx::zeros({1, 4, 3, 8});
  EXPECT_THROW(
      attention(q, mx::zeros({1, 3, 5, 8}), mx::zeros({1, 3, 5, 8}), 1),
      std::invalid_argument);
  EXPECT_THROW(
      attention(q, mx::zeros({1, 4, 5, 8}), mx::zeros({1, 4, 6, 8}), 1),
      std::invalid_argument);
  EXPECT_THROW(attention(mx::zeros({4, 3, 8}), q, q, 1), std::invalid_argument);
}

} // namespace
} // namespace mlx_audio::kernels
