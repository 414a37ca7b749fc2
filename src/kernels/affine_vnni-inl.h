// What products of MLX-affine weights by AVX-512's byte dot products share.
// Only for x86-64.
#pragma once

#include <immintrin.h>

#include <array>
#include <cstdint>

#include "kernels/float_type.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics start from values that they do not set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

// Intrinsics need the instruction sets of the function that they are used in;
// which function may run is decided by runs_vnni().
#define VNNI                                                      \
  __attribute__((target(                                          \
      "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni," \
      "avx2,fma,f16c")))
#define VNNI_INLINE VNNI __attribute__((always_inline)) static inline

namespace mlx_audio::kernels::vnni {

// How 64 values of kBits are spread to bytes: each 8 lie in kBits bytes, which
// are brought into a 64-bit lane and shifted apart there.
template <int kBits>
struct Spread {
  alignas(64) std::array<uint8_t, 64> bytes;
  alignas(64) std::array<uint8_t, 64> shifts;
};

template <int kBits>
constexpr Spread<kBits> make_spread() {
  Spread<kBits> s{};
  for (int lane = 0; lane < 8; ++lane) {
    for (int i = 0; i < 8; ++i) {
      s.bytes[8 * lane + i] =
          static_cast<uint8_t>(kBits * lane + (i < kBits ? i : kBits - 1));
      s.shifts[8 * lane + i] = static_cast<uint8_t>(kBits * i);
    }
  }
  return s;
}

template <int kBits>
constexpr Spread<kBits> kSpread = make_spread<kBits>();

/// 64 values, in the order of memory, as bytes. Only bytes of `mask` are read.
template <int kBits>
VNNI_INLINE __m512i load_values(const uint8_t* p, __mmask64 mask) {
  const __m512i raw = _mm512_maskz_loadu_epi8(mask, p);
  if constexpr (kBits == 8) {
    return raw;
  } else {
    const __m512i bytes = _mm512_load_si512(kSpread<kBits>.bytes.data());
    const __m512i shifts = _mm512_load_si512(kSpread<kBits>.shifts.data());
    return _mm512_and_si512(
        _mm512_multishift_epi64_epi8(
            shifts, _mm512_permutexvar_epi8(bytes, raw)),
        _mm512_set1_epi8((1 << kBits) - 1));
  }
}

// `count` (1 to 16) factors from p on, zeros above.
VNNI_INLINE __m512 load_factors(FloatType type, const void* p, __mmask16 mask) {
  switch (type) {
    case FloatType::bf16:
      return _mm512_castsi512_ps(_mm512_slli_epi32(
          _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
    case FloatType::f16:
      return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p));
    default:
      return _mm512_maskz_loadu_ps(mask, p);
  }
}

/// sums += products of unsigned bytes of `a` with signed ones of `b`, by fours.
VNNI_INLINE void dot_bytes(__m512i& sums, __m512i a, __m512i b) {
  // By hand: GCC 12 copies sums around its own function.
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
}

/// Bits of a limb below the highest, which has 8.
template <int kLimbs>
constexpr int kLow = kLimbs == 3 ? 6 : 8;

/// A group of x as scale * (high * 2^(low * (limbs - 1)) + ... + lowest), and
/// its sum. Limb i, [count] signed bytes, is at `limbs` + i * plane.
template <int kLimbs>
VNNI inline void split_group(
    const float* x,
    int64_t count,
    int8_t* limbs,
    int64_t plane,
    float& scale,
    float& sum) {
  constexpr int low = kLow<kLimbs>;
  constexpr float limit = 127 << (low * (kLimbs - 1));
  __m512 most = _mm512_setzero_ps();
  __m512 nothing = _mm512_setzero_ps(); // NaN if a value is none or infinite
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i);
    most = _mm512_max_ps(most, _mm512_abs_ps(v));
    nothing = _mm512_fmadd_ps(v, _mm512_setzero_ps(), nothing);
  }
  const float top = _mm512_reduce_max_ps(most);
  scale = top / limit + _mm512_reduce_add_ps(nothing);
  const __m512 inverse = _mm512_set1_ps(top > 0 ? limit / top : 0.0f);
  __m512i all = _mm512_setzero_si512();
  for (int64_t i = 0; i < count; i += 16) {
    __m512i rest =
        _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
    all = _mm512_add_epi32(all, rest);
    for (int limb = 0; limb < kLimbs; ++limb) {
      const int shift = low * (kLimbs - 1 - limb);
      const __m512i half = _mm512_set1_epi32(shift > 0 ? 1 << (shift - 1) : 0);
      const __m512i part =
          _mm512_srai_epi32(_mm512_add_epi32(rest, half), shift);
      rest = _mm512_sub_epi32(rest, _mm512_slli_epi32(part, shift));
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(limbs + limb * plane + i),
          _mm512_cvtepi32_epi8(part));
    }
  }
  sum = static_cast<float>(_mm512_reduce_add_epi32(all)) * scale;
}

} // namespace mlx_audio::kernels::vnni
