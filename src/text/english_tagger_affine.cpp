// The one hot loop of the tagger, for the vector unit found at run time.
#include <cstddef>

// Arrays of vectors need vectors of a known size.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "text/english_tagger_affine.cpp"
#include <hwy/foreach_target.h> // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::text {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A tile of kRows rows and two vectors of columns stays in registers.
template <size_t kRows>
void tile_rows(
    const float* HWY_RESTRICT x,
    size_t stride,
    const float* HWY_RESTRICT weight,
    const float* HWY_RESTRICT bias,
    float* HWY_RESTRICT y,
    size_t in,
    size_t out) {
  const hn::CappedTag<float, 8> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t c = 0; c < out; c += 2 * lanes) {
    hn::Vec<decltype(d)> left[kRows];
    hn::Vec<decltype(d)> right[kRows];
    for (size_t r = 0; r < kRows; ++r) {
      left[r] = hn::LoadU(d, bias + c);
      right[r] = hn::LoadU(d, bias + c + lanes);
    }
    for (size_t k = 0; k < in; ++k) {
      const auto w0 = hn::LoadU(d, weight + k * out + c);
      const auto w1 = hn::LoadU(d, weight + k * out + c + lanes);
      for (size_t r = 0; r < kRows; ++r) {
        const auto v = hn::Set(d, x[r * stride + k]);
        left[r] = hn::MulAdd(v, w0, left[r]);
        right[r] = hn::MulAdd(v, w1, right[r]);
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      hn::StoreU(left[r], d, y + r * out + c);
      hn::StoreU(right[r], d, y + r * out + c + lanes);
    }
  }
}

void affine_rows(
    const float* x,
    size_t stride,
    const float* weight,
    const float* bias,
    float* y,
    size_t rows,
    size_t in,
    size_t out) {
  size_t r = 0;
  for (; r + 6 <= rows; r += 6) {
    tile_rows<6>(x + r * stride, stride, weight, bias, y + r * out, in, out);
  }
  for (; r < rows; ++r) {
    tile_rows<1>(x + r * stride, stride, weight, bias, y + r * out, in, out);
  }
}

} // namespace HWY_NAMESPACE
} // namespace mlx_audio::text
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::text {

HWY_EXPORT(affine_rows);

void affine(
    const float* x,
    size_t stride,
    const float* weight,
    const float* bias,
    float* y,
    size_t rows,
    size_t in,
    size_t out) {
  HWY_DYNAMIC_DISPATCH(affine_rows)
  (x, stride, weight, bias, y, rows, in, out);
}

} // namespace mlx_audio::text
#endif
