// Layers of one input as one, however each of them is stored.
#include "models/whisper/fused_linear.h"

#include <gtest/gtest.h>

namespace mlx_audio::whisper {
namespace {

using kernels::LinearWeight;

struct Storage {
  int bits; // 0: float
  int group;
  mx::Dtype type;
};

LinearWeight layer(const Storage& s, bool bias, uint64_t seed) {
  auto w = mx::astype(
      mx::random::normal({24, 128}, mx::float32, mx::random::key(seed)),
      s.type);
  LinearWeight result{.weight = w};
  if (s.bits != 0) {
    auto parts = mx::quantize(w, s.group, s.bits);
    result = {
        .weight = parts[0],
        .scales = parts[1],
        .biases = parts[2],
        .group_size = s.group,
        .bits = s.bits};
  }
  if (bias) {
    result.bias =
        mx::random::normal({24}, mx::float32, mx::random::key(seed + 50));
  }
  return result;
}

float difference(const mx::array& a, const mx::array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return mx::max(mx::abs(a - b)).item<float>();
}

TEST(FusedLinear, SaysWhatItsLayersSay) {
  const Storage q3{3, 64, mx::float32};
  const Storage q6{6, 64, mx::float32};
  const Storage wide{3, 128, mx::float32};
  const Storage half{4, 32, mx::bfloat16};
  const Storage f32{0, 0, mx::float32};
  const Storage f16{0, 0, mx::float16};
  auto x = mx::random::normal({2, 5, 128}, mx::float32, mx::random::key(9));
  for (const auto& storages : std::vector<std::vector<Storage>>{
           {q3, q3, q3},
           {f32, f32, f32},
           {q3, q3, q6},
           {q6, q3, q6},
           {q3, wide, q3},
           {f32, q3, f16},
           {half, half, q3},
           {q6, q3}}) {
    std::vector<LinearWeight> layers;
    std::vector<mx::array> expected;
    for (size_t i = 0; i < storages.size(); ++i) {
      layers.push_back(layer(storages[i], i != 1, i + 1)); // keys have no bias
      expected.push_back(nn::Linear(layers.back())(x));
    }
    auto want = mx::concatenate(expected, -1);
    FusedLinear fused(layers);
    EXPECT_LT(difference(fused(x), want), 1e-4f);
    auto joined = fused.joined();
    EXPECT_EQ(joined.out_features(), 24 * static_cast<int>(storages.size()));
    EXPECT_LT(difference(nn::Linear(joined)(x), want), 1e-4f);
  }
}

TEST(FusedLinear, LayersStoredAlikeStayQuantized) {
  const Storage q4{4, 64, mx::float16};
  FusedLinear fused({layer(q4, true, 1), layer(q4, false, 2)});
  auto joined = fused.joined();
  ASSERT_TRUE(joined.quantized());
  EXPECT_EQ(joined.bits, 4);
  EXPECT_EQ(joined.weight.shape(), (mx::Shape{48, 16}));
}

} // namespace
} // namespace mlx_audio::whisper
