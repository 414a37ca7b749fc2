// The layers in bf16 pairs against their definitions in f32 on the same
// weights. Only CPUs with AVX-512 BF16 have them; on others a layer must say
// so.
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/panels.h"
#include "kernels/simd.h"
#include "models/mossformer2_se/network.h"

namespace mlx_audio::mossformer2_se {
namespace {

mx::array random(const mx::Shape& shape, uint64_t seed, float scale = 1) {
  auto x =
      mx::random::normal(shape, mx::float32, 0, scale, mx::random::key(seed));
  mx::eval(x);
  return x;
}

nn::Linear linear(int out, int in, uint64_t seed, bool bias, mx::Dtype dtype) {
  kernels::LinearWeight w{
      .weight = mx::astype(
          random({out, in}, seed, 1 / std::sqrt(static_cast<float>(in))),
          mx::bfloat16)};
  // The same values in both types.
  w.weight = mx::astype(w.weight, dtype);
  if (bias) {
    w.bias = random({out}, seed + 1, 0.1f);
  }
  mx::eval(w.weight);
  return nn::Linear(std::move(w));
}

constexpr int kDim = 64;
constexpr int kKeys = 32;
constexpr int kInner = 32;

AttentionLayer attention(mx::Dtype dtype) {
  return {
      .to_hidden =
          {linear(4 * kDim + kKeys, kDim, 1, true, dtype),
           random({17, 4 * kDim + kKeys}, 3, 0.2f)},
      .to_out =
          {linear(kDim, 2 * kDim, 4, true, dtype), random({17, kDim}, 6, 0.2f)},
      .gamma = random({4, kKeys}, 7),
      .beta = random({4, kKeys}, 8),
      .options = {.value_dim = 2 * kDim, .group = 64}};
}

FsmnLayer fsmn(mx::Dtype dtype) {
  auto conv = [&](uint64_t seed) -> FeedForwardConv {
    return {
        linear(kInner, kInner, seed, true, dtype),
        random({17, kInner}, seed + 2, 0.2f)};
  };
  return {
      .conv1 = linear(kInner, kDim, 11, true, dtype),
      .slope = mx::array({0.2f}),
      .norm_weight = random({kInner}, 13),
      .norm_bias = random({kInner}, 14),
      .to_u = conv(15),
      .to_v = conv(18),
      .linear = linear(kInner, kInner, 21, true, dtype),
      .project = linear(kInner, kInner, 23, false, dtype),
      .memory = random({39, kInner}, 25, 0.2f),
      .conv2 = linear(kDim, kInner, 26, true, dtype)};
}

mx::array rotary(int time) {
  auto angle = random({time, 8}, 30);
  auto table = mx::concatenate({mx::cos(angle), mx::sin(angle)}, 1);
  mx::eval(table);
  return table;
}

// Root mean square of the difference, over that of what the layer adds.
void expect_near(
    const mx::array& got,
    const mx::array& want,
    const mx::array& x,
    int time) {
  ASSERT_EQ(got.shape(), want.shape());
  auto rms = [](const mx::array& y) {
    return mx::sqrt(mx::mean(mx::square(y))).item<float>();
  };
  // bf16 keeps 8 bits; a handful of roundings one after the other.
  EXPECT_LT(rms(got - want), 0.012f * rms(want - x)) << time;
  EXPECT_GT(rms(got - want), 0.0f) << time;
  EXPECT_LT(mx::max(mx::abs(got - want)).item<float>(), 0.15f * rms(want - x))
      << time;
}

// Around the borders of tiles, groups and blocks.
const int kTimes[] = {1, 2, 7, 31, 64, 65, 127, 300, 489, 977};

TEST(Paired, AttentionIsNearItsDefinition) {
  auto layer = paired(attention(mx::bfloat16));
  ASSERT_EQ(layer != nullptr, kernels::has_bf16_pairs());
  for (int time : kTimes) {
    if (layer) {
      auto x = random({time, kDim}, 40);
      auto table = rotary(time);
      auto want = attention(mx::float32)(x, table);
      expect_near(kernels::paired_attention(x, table, layer), want, x, time);
    }
  }
}

TEST(Paired, FsmnIsNearItsDefinition) {
  auto layer = paired(fsmn(mx::bfloat16));
  ASSERT_EQ(layer != nullptr, kernels::has_bf16_pairs());
  for (int time : kTimes) {
    if (layer) {
      auto x = random({time, kDim}, 41);
      expect_near(
          kernels::paired_fsmn(x, layer), fsmn(mx::float32)(x), x, time);
    }
  }
}

TEST(Paired, OtherTypesAndLesserSetsTakeTheDefinition) {
  EXPECT_EQ(paired(attention(mx::float32)), nullptr);
  EXPECT_EQ(paired(fsmn(mx::float16)), nullptr);
  for (const auto& target : kernels::simd_targets()) {
    kernels::ScopedSimdTarget scope(target);
    bool runs = kernels::has_bf16_pairs();
    EXPECT_EQ(paired(attention(mx::bfloat16)) != nullptr, runs) << target;
  }
}

} // namespace
} // namespace mlx_audio::mossformer2_se
