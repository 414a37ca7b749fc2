// What products of MLX-affine weights by AVX-512's byte dot products and by
// AMX's tiles share. Only for x86-64.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/float_type.h"
#include "kernels/gemm.h"

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

// 16 vectors of 16 words, transposed.
VNNI_INLINE void transpose(__m512i* v) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 4) {
    const __m512i a = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    const __m512i b = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    const __m512i c = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]);
    const __m512i d = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
    t[i] = _mm512_unpacklo_epi64(a, c);
    t[i + 1] = _mm512_unpackhi_epi64(a, c);
    t[i + 2] = _mm512_unpacklo_epi64(b, d);
    t[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(t[i], t[i + 4], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(t[i], t[i + 4], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0x88);
    const __m512i d = _mm512_shuffle_i32x4(t[i + 8], t[i + 12], 0xdd);
    v[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    v[i + 4] = _mm512_shuffle_i32x4(b, d, 0x88);
    v[i + 8] = _mm512_shuffle_i32x4(a, c, 0xdd);
    v[i + 12] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
}

/// Takes bf16s to the nearest, as 16 bits each, out of `rest`.
VNNI_INLINE __m256i take_bf16(__m512& rest) {
  const __m512i bits = _mm512_srli_epi32(
      _mm512_add_epi32(_mm512_castps_si512(rest), _mm512_set1_epi32(0x8000)),
      16);
  rest = _mm512_sub_ps(rest, _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)));
  return _mm512_cvtepi32_epi16(bits);
}

/// Rows of W in a panel: two vectors of sums.
constexpr int64_t kPanel = 32;

/// Rows [row, row + kPanel), columns [k, k + count) of W; zeros beyond its
/// rows. Fills panel.scales and .biases of 16 rows from `half` on; then
/// panel.put(c, half, v) takes their columns [4 c, 4 c + 4), four bytes a row.
template <int kBits, class Panel>
VNNI void unpack_panel(
    const WeightMatrix& w,
    int64_t row,
    int64_t k,
    int64_t count,
    Panel& panel) {
  const int64_t row_bytes = w.columns * kBits / 8;
  const int64_t groups = w.columns / w.group;
  const int64_t width = w.type == FloatType::f32 ? 4 : 2;
  const auto* data = static_cast<const uint8_t*>(w.data);
  const auto* scales = static_cast<const uint8_t*>(w.scales);
  const auto* biases = static_cast<const uint8_t*>(w.biases);
  const int64_t used = count / w.group;
  for (int64_t half = 0; half < kPanel; half += 16) {
    const int64_t rows = std::clamp<int64_t>(w.rows - row - half, 0, 16);
    __m512i v[16];
    for (int64_t g = 0; g < used; g += 16) {
      const int64_t here = std::min<int64_t>(16, used - g);
      const auto mask = static_cast<__mmask16>((1 << here) - 1);
      for (bool bias : {false, true}) {
        const uint8_t* from = bias ? biases : scales;
        for (int64_t r = 0; r < 16; ++r) {
          const int64_t at = (row + half + r) * groups + k / w.group + g;
          v[r] = r < rows ? _mm512_castps_si512(
                                load_factors(w.type, from + at * width, mask))
                          : _mm512_setzero_si512();
        }
        transpose(v);
        for (int64_t i = 0; i < here; ++i) {
          _mm512_store_si512(
              bias ? &panel.biases[g + i][half] : &panel.scales[g + i][half],
              v[i]);
        }
      }
    }
    for (int64_t c = 0; c < count; c += 64) {
      const int64_t bytes = std::min<int64_t>(64, count - c) * kBits / 8;
      const __mmask64 bytes_mask = bytes == 64 ? ~0ULL : (1ULL << bytes) - 1;
      for (int64_t r = 0; r < 16; ++r) {
        v[r] = r < rows
            ? load_values<kBits>(
                  data + (row + half + r) * row_bytes + (k + c) * kBits / 8,
                  bytes_mask)
            : _mm512_setzero_si512();
      }
      transpose(v);
      for (int64_t i = 0; i < std::min<int64_t>(16, (count - c) / 4); ++i) {
        panel.put(c / 4 + i, half, v[i]);
      }
    }
  }
}

template <class Panel>
using Unpack = void (*)(const WeightMatrix&, int64_t, int64_t, int64_t, Panel&);

/// unpack_panel of weights of so many bits.
template <class Panel>
Unpack<Panel> unpack_of(int bits) {
  switch (bits) {
    case 2:
      return unpack_panel<2, Panel>;
    case 3:
      return unpack_panel<3, Panel>;
    case 4:
      return unpack_panel<4, Panel>;
    case 5:
      return unpack_panel<5, Panel>;
    case 6:
      return unpack_panel<6, Panel>;
    default:
      return unpack_panel<8, Panel>;
  }
}

} // namespace mlx_audio::kernels::vnni
