#include "checkpoint/lazy_tensor.h"

#include <cmath>
#include <limits>

#include "unit/checkpoint/helpers.h"

namespace mlx_audio::checkpoint {
namespace {

LazyTensor count_up(Shape shape) {
  std::vector<float> list(element_count(shape));
  for (size_t i = 0; i < list.size(); ++i) {
    list[i] = static_cast<float>(i);
  }
  return {"x", DType::float32, std::move(shape), [list] {
            return test::bytes_of(list);
          }};
}

TEST(LazyTensor, CastsToFloat16RoundingToEven) {
  const float inf = std::numeric_limits<float>::infinity();
  // Known patterns of IEEE binary16, ties and subnormals among them.
  const std::vector<std::pair<float, uint16_t>> known = {
      {0.0f, 0x0000},
      {-0.0f, 0x8000},
      {1.0f, 0x3c00},
      {-2.0f, 0xc000},
      {65504.0f, 0x7bff},
      {65519.0f, 0x7bff},
      {65520.0f, 0x7c00},
      {inf, 0x7c00},
      {1.0f + 1.0f / 2048, 0x3c00},
      {1.0f + 3.0f / 2048, 0x3c02},
      {std::ldexp(1.0f, -14), 0x0400},
      {std::ldexp(1.0f, -24), 0x0001},
      {std::ldexp(1.0f, -25), 0x0000},
      {std::ldexp(1.5f, -25), 0x0001},
      {std::ldexp(1023.0f, -24), 0x03ff},
      {std::ldexp(1023.75f, -24), 0x0400},
  };
  for (auto [value, bits] : known) {
    auto half = test::values<uint16_t>(cast(
        test::bytes_of(std::vector<float>{value}),
        DType::float32,
        DType::float16));
    EXPECT_EQ(half[0], bits) << value;
  }
}

TEST(LazyTensor, EveryFloat16AndBfloat16ComesBack) {
  for (DType type : {DType::float16, DType::bfloat16}) {
    std::vector<uint16_t> all(65536);
    for (size_t i = 0; i < all.size(); ++i) {
      all[i] = static_cast<uint16_t>(i);
    }
    Bytes wide = cast(test::bytes_of(all), type, DType::float32);
    auto floats = test::values<float>(wide);
    auto back = test::values<uint16_t>(cast(wide, DType::float32, type));
    for (size_t i = 0; i < all.size(); ++i) {
      if (!std::isnan(floats[i])) {
        ASSERT_EQ(back[i], all[i]);
      }
    }
  }
}

TEST(LazyTensor, RoundsToBfloat16) {
  std::vector<float> in = {1.0f, 1.00390625f, 1.01171875f, std::nanf("")};
  auto bits = test::values<uint16_t>(
      cast(test::bytes_of(in), DType::float32, DType::bfloat16));
  EXPECT_EQ(bits[0], 0x3f80);
  EXPECT_EQ(bits[1], 0x3f80); // a tie, to even
  EXPECT_EQ(bits[2], 0x3f82);
  EXPECT_GT(bits[3] & 0x7fff, 0x7f80);
}

TEST(LazyTensor, LeavesIntegersAlone) {
  LazyTensor ints{"i", DType::int32, {1}, [] { return Bytes(4); }};
  EXPECT_EQ(cast(ints, DType::float16).dtype, DType::int32);
}

TEST(LazyTensor, Transposes) {
  LazyTensor turned = transpose(count_up({2, 3, 2}), {2, 0, 1});
  EXPECT_EQ(turned.shape, (Shape{2, 2, 3}));
  EXPECT_EQ(
      test::values<float>(turned.load()),
      (std::vector<float>{0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(transpose(count_up({0, 3}), {1, 0}).load().size(), 0u);
}

TEST(LazyTensor, TakesRows) {
  LazyTensor part = rows(count_up({4, 2}), 1, 3);
  EXPECT_EQ(part.shape, (Shape{2, 2}));
  EXPECT_EQ(test::values<float>(part.load()), (std::vector<float>{2, 3, 4, 5}));
  test::expect_error(ErrorKind::corrupt_data, "has no rows 3 to 5", [] {
    rows(count_up({4, 2}), 3, 5);
  });
  test::expect_error(ErrorKind::corrupt_data, "cannot become [3]", [] {
    reshape(count_up({4, 2}), {3});
  });
}

} // namespace
} // namespace mlx_audio::checkpoint
