// The register-tiled product over Panels, for kernels written with Highway.
// Included once per instruction set: see simd.h.
#if defined(MLX_AUDIO_KERNELS_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_PANELS_INL_H_
#undef MLX_AUDIO_KERNELS_PANELS_INL_H_
#else
#define MLX_AUDIO_KERNELS_PANELS_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE::panels {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

HWY_INLINE V load_weight(const float* from) {
  return hn::Load(F(), from);
}
HWY_INLINE V load_weight(const uint16_t* from) {
  const hn::Rebind<hwy::float16_t, F> dh;
  return hn::PromoteTo(
      F(), hn::Load(dh, reinterpret_cast<const hwy::float16_t*>(from)));
}

// `rows` rows by two vectors of columns. Six rows: 12 sums, 2 weights and one
// broadcast are the 16 registers of AVX2, and each weight loaded serves six
// multiply-adds.
template <int rows, bool accumulate, class Weight>
HWY_INLINE void tile(
    const float* a,
    size_t a_stride,
    const Weight* panel,
    int depth,
    float* c,
    size_t c_stride) {
  const F d;
  const size_t lanes = hn::Lanes(d);
  V sum0[rows];
  V sum1[rows];
  for (int r = 0; r < rows; ++r) {
    sum0[r] = accumulate ? hn::LoadU(d, c + r * c_stride) : hn::Zero(d);
    sum1[r] = accumulate ? hn::LoadU(d, c + r * c_stride + lanes) : hn::Zero(d);
  }
  for (int k = 0; k < depth; ++k) {
    V w0 = load_weight(panel + k * 2 * lanes);
    V w1 = load_weight(panel + k * 2 * lanes + lanes);
    for (int r = 0; r < rows; ++r) {
      V value = hn::Set(d, a[r * a_stride + k]);
      sum0[r] = hn::MulAdd(value, w0, sum0[r]);
      sum1[r] = hn::MulAdd(value, w1, sum1[r]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    hn::StoreU(sum0[r], d, c + r * c_stride);
    hn::StoreU(sum1[r], d, c + r * c_stride + lanes);
  }
}

/// c [rows, padded_out] (+)= a [rows, depth] times one matrix of panels. The
/// depth is cut so that a panel's part stays in the first cache.
template <bool accumulate, class Weight>
void product(
    const float* a,
    size_t a_stride,
    const Weight* panels,
    int depth,
    int padded_out,
    float* c,
    size_t c_stride,
    int rows) {
  const int width = static_cast<int>(2 * hn::Lanes(F()));
  constexpr int max_depth = 256; // 8 kB of f16 or 16 kB of f32 on AVX2
  for (int k = 0; k < depth; k += max_depth) {
    const int part = depth - k < max_depth ? depth - k : max_depth;
    auto rows_of =
        [&](auto count, int r, const Weight* panel, float* to) HWY_ATTR {
          constexpr int n = decltype(count)::value;
          if (accumulate || k > 0) {
            tile<n, true>(
                a + r * a_stride + k, a_stride, panel, part, to, c_stride);
          } else {
            tile<n, false>(
                a + r * a_stride + k, a_stride, panel, part, to, c_stride);
          }
        };
    for (int column = 0; column < padded_out; column += width) {
      const Weight* panel = panels + static_cast<size_t>(column) * depth +
          static_cast<size_t>(k) * width;
      int r = 0;
      for (; r + 6 <= rows; r += 6) {
        rows_of(
            std::integral_constant<int, 6>(),
            r,
            panel,
            c + r * c_stride + column);
      }
      for (; r + 3 <= rows; r += 3) {
        rows_of(
            std::integral_constant<int, 3>(),
            r,
            panel,
            c + r * c_stride + column);
      }
      for (; r < rows; ++r) {
        rows_of(
            std::integral_constant<int, 1>(),
            r,
            panel,
            c + r * c_stride + column);
      }
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE::panels
HWY_AFTER_NAMESPACE();

#endif // MLX_AUDIO_KERNELS_PANELS_INL_H_
