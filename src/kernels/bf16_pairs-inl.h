// Products of bf16 pairs (AMX, AVX-512 BF16) in register tiles, for kernels
// written with Highway. Included once per instruction set; only those with 16
// lanes are ever asked (has_bf16_pairs).
#if defined(MLX_AUDIO_KERNELS_BF16_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_BF16_PAIRS_INL_H_
#undef MLX_AUDIO_KERNELS_BF16_PAIRS_INL_H_
#else
#define MLX_AUDIO_KERNELS_BF16_PAIRS_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include <hwy/highway.h>

#include "kernels/amx.h"
#include "kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE::pairs {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using U = hn::ScalableTag<uint32_t>;
using VF = hn::Vec<F>;
using VU = hn::Vec<U>;

/// sum + low(a) low(b) + high(a) high(b) in each lane.
HWY_INLINE VF dot(VF sum, VU a, VU b) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
  // By hand: the compiler's own function belongs to no target of Highway 1.0.
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
#else
  const F f;
  const U u;
  const VU high = hn::Set(u, 0xffff0000u);
  auto upper = [&](VU v) HWY_ATTR { return hn::BitCast(f, hn::And(v, high)); };
  auto lower = [&](VU v)
                   HWY_ATTR { return hn::BitCast(f, hn::ShiftLeft<16>(v)); };
  sum = hn::MulAdd(lower(a), lower(b), sum);
  return hn::MulAdd(upper(a), upper(b), sum);
#endif
}

/// Pairs of bf16, rounded to nearest.
HWY_INLINE VU make(VF low, VF high) {
  const U u;
  const VU half = hn::Set(u, 0x8000u);
  const VU l = hn::Add(hn::BitCast(u, low), half);
  const VU h = hn::Add(hn::BitCast(u, high), half);
  return hn::Or(hn::ShiftRight<16>(l), hn::And(h, hn::Set(u, 0xffff0000u)));
}

/// Pairs of neighbours out of two vectors in a row, rounded to nearest. Only
/// where runs_amx().
HWY_INLINE void store_neighbours(VF first, VF second, uint32_t* to) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
  VU both;
  asm("vcvtne2ps2bf16 %2, %1, %0"
      : "=v"(both.raw)
      : "v"(second.raw), "v"(first.raw));
  hn::StoreU(both, U(), to);
#else
  (void)first;
  (void)second;
  (void)to;
#endif
}

/// `rows` rows by one panel of two vectors, over `taps` matrices of panels:
/// c += sum over taps of a[tap] w[tap]. 24 sums at 12 rows.
template <int rows>
HWY_INLINE void tile(
    const uint32_t* a,
    size_t a_stride,
    size_t a_tap,
    const uint32_t* panel,
    size_t panel_tap,
    int taps,
    int depth,
    float* c,
    size_t c_stride) {
  const F d;
  const U u;
  const size_t lanes = hn::Lanes(d);
  VF sum0[rows];
  VF sum1[rows];
  for (int r = 0; r < rows; ++r) {
    sum0[r] = hn::LoadU(d, c + r * c_stride);
    sum1[r] = hn::LoadU(d, c + r * c_stride + lanes);
  }
  for (int j = 0; j < taps; ++j) {
    const uint32_t* at = a + j * a_tap;
    const uint32_t* w = panel + j * panel_tap;
    for (int k = 0; k < depth; ++k) {
      const VU w0 = hn::Load(u, w + k * 2 * lanes);
      const VU w1 = hn::Load(u, w + k * 2 * lanes + lanes);
      for (int r = 0; r < rows; ++r) {
        const VU value = hn::Set(u, at[r * a_stride + k]);
        sum0[r] = dot(sum0[r], value, w0);
        sum1[r] = dot(sum1[r], value, w1);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    hn::StoreU(sum0[r], d, c + r * c_stride);
    hn::StoreU(sum1[r], d, c + r * c_stride + lanes);
  }
}

/// Calls function(integral_constant<int, n>, r) for rows r, n at a time: `most`
/// while there are so many, then three, then one.
template <int most, class Function>
HWY_INLINE void for_rows(int rows, Function&& function) {
  int r = 0;
  for (; r + most <= rows; r += most) {
    function(std::integral_constant<int, most>(), r);
  }
  for (; r + 3 <= rows; r += 3) {
    function(std::integral_constant<int, 3>(), r);
  }
  for (; r < rows; ++r) {
    function(std::integral_constant<int, 1>(), r);
  }
}

/// What tile() computes, for any number of rows.
inline void add_product(
    const uint32_t* a,
    size_t a_stride,
    size_t a_tap,
    const uint32_t* panel,
    size_t panel_tap,
    int taps,
    int depth,
    float* c,
    size_t c_stride,
    int rows) {
  if (runs_amx()) {
    amx::add_bf16(
        {.a = a,
         .a_stride = static_cast<int64_t>(a_stride),
         .a_tap = static_cast<int64_t>(a_tap),
         .b = panel,
         .b_stride = 32,
         .b_tap = static_cast<int64_t>(panel_tap),
         .taps = taps,
         .depth = depth,
         .rows = rows,
         .columns = 32,
         .c_stride = static_cast<int64_t>(c_stride)},
        c);
    return;
  }
  for_rows<12>(rows, [&](auto n, int r) HWY_ATTR {
    tile<decltype(n)::value>(
        a + r * a_stride,
        a_stride,
        a_tap,
        panel,
        panel_tap,
        taps,
        depth,
        c + r * c_stride,
        c_stride);
  });
}

/// Complex numbers as pairs: a holds (re, im), w holds (re, -im), so that one
/// dot product is the result's real part; the imaginary part takes w's halves
/// swapped, (im, re). With `two_reals` a and w are pairs of real numbers with
/// nothing to do with each other. Six rows: 24 sums.
template <int rows, bool two_reals>
HWY_INLINE void complex_tile(
    const uint32_t* a,
    size_t a_stride,
    const uint32_t* panel,
    int depth,
    bool first,
    float* re,
    float* im,
    size_t c_stride) {
  const F d;
  const U u;
  const size_t lanes = hn::Lanes(d);
  const VU low = hn::Set(u, 0x0000ffffu);
  const VU sign = hn::Set(u, 0x00008000u);
  auto for_real = [&](VU w)
                      HWY_ATTR { return two_reals ? hn::And(w, low) : w; };
  auto for_imaginary = [&](VU w) HWY_ATTR {
    return two_reals ? hn::AndNot(low, w)
                     : hn::Xor(hn::RotateRight<16>(w), sign);
  };
  VF sums[rows][4];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < 2; ++v) {
      sums[r][v] =
          first ? hn::Zero(d) : hn::LoadU(d, re + r * c_stride + v * lanes);
      sums[r][2 + v] =
          first ? hn::Zero(d) : hn::LoadU(d, im + r * c_stride + v * lanes);
    }
  }
  for (int k = 0; k < depth; ++k) {
    const VU w0 = hn::Load(u, panel + k * 2 * lanes);
    const VU w1 = hn::Load(u, panel + k * 2 * lanes + lanes);
    const VU re0 = for_real(w0);
    const VU re1 = for_real(w1);
    const VU im0 = for_imaginary(w0);
    const VU im1 = for_imaginary(w1);
    for (int r = 0; r < rows; ++r) {
      const VU value = hn::Set(u, a[r * a_stride + k]);
      sums[r][0] = dot(sums[r][0], value, re0);
      sums[r][1] = dot(sums[r][1], value, re1);
      sums[r][2] = dot(sums[r][2], value, im0);
      sums[r][3] = dot(sums[r][3], value, im1);
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < 2; ++v) {
      hn::StoreU(sums[r][v], d, re + r * c_stride + v * lanes);
      hn::StoreU(sums[r][2 + v], d, im + r * c_stride + v * lanes);
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE::pairs
HWY_AFTER_NAMESPACE();

#endif // include guard
