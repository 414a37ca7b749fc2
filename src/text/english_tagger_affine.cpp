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
void tile(
    const float* HWY_RESTRICT x,
    size_t stride,
    const float* HWY_RESTRICT weight,
    const float* HWY_RESTRICT bias,
    float* HWY_RESTRICT y,
    size_t in,
    size_t out) {
  const hn::CappedTag<float, 8> d;
  const size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> left[kRows];
  hn::Vec<decltype(d)> right[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    left[r] = hn::LoadU(d, bias);
    right[r] = hn::LoadU(d, bias + lanes);
  }
  for (size_t k = 0; k < in; ++k) {
    const auto w0 = hn::LoadU(d, weight + k * out);
    const auto w1 = hn::LoadU(d, weight + k * out + lanes);
    for (size_t r = 0; r < kRows; ++r) {
      const auto v = hn::Set(d, x[r * stride + k]);
      left[r] = hn::MulAdd(v, w0, left[r]);
      right[r] = hn::MulAdd(v, w1, right[r]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    hn::StoreU(left[r], d, y + r * out);
    hn::StoreU(right[r], d, y + r * out + lanes);
  }
}

// Columns outside, rows inside: a strip of the weights stays in the L1 cache.
void affine_strips(
    const float* x,
    size_t stride,
    const float* weight,
    const float* bias,
    float* y,
    size_t rows,
    size_t in,
    size_t out) {
  const size_t step = 2 * hn::Lanes(hn::CappedTag<float, 8>());
  for (size_t c = 0; c < out; c += step) {
    size_t r = 0;
    for (; r + 6 <= rows; r += 6) {
      tile<6>(
          x + r * stride,
          stride,
          weight + c,
          bias + c,
          y + r * out + c,
          in,
          out);
    }
    for (; r < rows; ++r) {
      tile<1>(
          x + r * stride,
          stride,
          weight + c,
          bias + c,
          y + r * out + c,
          in,
          out);
    }
  }
}

} // namespace HWY_NAMESPACE
} // namespace mlx_audio::text
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::text {

HWY_EXPORT(affine_strips);

void affine(
    const float* x,
    size_t stride,
    const float* weight,
    const float* bias,
    float* y,
    size_t rows,
    size_t in,
    size_t out) {
  HWY_DYNAMIC_DISPATCH(affine_strips)
  (x, stride, weight, bias, y, rows, in, out);
}

} // namespace mlx_audio::text
#endif
