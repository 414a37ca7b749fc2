#include "kernels/affine_vnni.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/simd.h"

#include <hwy/detect_targets.h>

#if HWY_ARCH_X86_64
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own intrinsics start from values that they do not set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

// Intrinsics need the instruction sets of the function that they are used in;
// which function may run is decided by affine_vnni_runs().
#define VNNI                                                      \
  __attribute__((target(                                          \
      "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni," \
      "avx2,fma,f16c")))
#define VNNI_INLINE VNNI __attribute__((always_inline)) static inline

namespace mlx_audio::kernels {

namespace {

constexpr int64_t kLimbs = 3;
constexpr int kLow = 6; // bits of the two lower limbs
constexpr float kMost = 127 << (2 * kLow);
constexpr int64_t kPadding = 128; // values a row of x is padded to
constexpr int64_t kGroups = 16; // groups in a block: a vector of factors
constexpr int64_t kAhead = 2048; // bytes that weights are fetched ahead

int64_t padded(const WeightMatrix& w) {
  return (w.columns + kPadding - 1) / kPadding * kPadding;
}

int64_t padded_groups(const WeightMatrix& w) {
  return (w.columns / w.group + kGroups - 1) / kGroups * kGroups;
}

// One row of x: the limbs [kLimbs, padded] of all values, then the groups'
// scales and sums.
struct Split {
  const int8_t* limbs;
  const float* scales;
  const float* sums;
};

int64_t split_floats(const WeightMatrix& w) {
  return kLimbs * padded(w) / 4 + 2 * padded_groups(w);
}

/// Values that a vector of weights' bytes becomes: of 4 bits two vectors, of
/// others one.
template <int kBits>
constexpr int64_t kChunk = kBits == 4 ? 128 : 64;

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

// The group of each of a chunk's 16 lanes of sums, from the block's first.
template <int64_t kValues, int kGroup>
constexpr int64_t kChunks = kGroups * kGroup / kValues; // in a block

template <int64_t kValues, int kGroup>
constexpr auto make_lane_groups() {
  std::array<std::array<int32_t, 16>, kChunks<kValues, kGroup>> table{};
  for (size_t c = 0; c < table.size(); ++c) {
    for (int64_t lane = 0; lane < 16; ++lane) {
      table[c][lane] = static_cast<int32_t>(
          (static_cast<int64_t>(c) * kValues + lane * kValues / 16) / kGroup);
    }
  }
  return table;
}

template <int64_t kValues, int kGroup>
alignas(64) constexpr auto kLaneGroups = make_lane_groups<kValues, kGroup>();

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

VNNI_INLINE float sum_of(__m512 v) {
  return _mm512_reduce_add_ps(v);
}

// The weights of a chunk as unsigned bytes, in the order of x's limbs. Only
// the first `bytes` are read.
template <int kBits>
VNNI_INLINE void load_weights(const uint8_t* p, __mmask64 mask, __m512i* w) {
  const __m512i raw = _mm512_maskz_loadu_epi8(mask, p);
  if constexpr (kBits == 8) {
    w[0] = raw;
  } else if constexpr (kBits == 4) {
    const __m512i low = _mm512_set1_epi8(15);
    w[0] = _mm512_and_si512(raw, low);
    w[1] = _mm512_and_si512(_mm512_srli_epi16(raw, 4), low);
  } else {
    const __m512i bytes = _mm512_load_si512(kSpread<kBits>.bytes.data());
    const __m512i shifts = _mm512_load_si512(kSpread<kBits>.shifts.data());
    w[0] = _mm512_and_si512(
        _mm512_multishift_epi64_epi8(
            shifts, _mm512_permutexvar_epi8(bytes, raw)),
        _mm512_set1_epi8((1 << kBits) - 1));
  }
}

// Rows [row, row + kR) of W with rows [first, first + kM) of x.
template <int kBits, int kGroup, int kM, int kR>
VNNI void dot_rows(
    const WeightMatrix& w,
    const Split* x,
    int64_t row,
    float* y,
    int64_t y_stride) {
  constexpr int64_t values = kChunk<kBits>;
  constexpr int64_t vectors = values / 64;
  constexpr int64_t chunk_bytes = values * kBits / 8;
  constexpr __mmask64 whole =
      chunk_bytes == 64 ? ~0ULL : (1ULL << (chunk_bytes % 64)) - 1;
  const int64_t groups = w.columns / kGroup;
  const int64_t row_bytes = w.columns * kBits / 8;
  const int64_t width = w.type == FloatType::f32 ? 4 : 2;
  const int64_t plane = padded(w);
  const auto* data = static_cast<const uint8_t*>(w.data) + row * row_bytes;
  const auto* scales =
      static_cast<const uint8_t*>(w.scales) + row * groups * width;
  const auto* biases =
      static_cast<const uint8_t*>(w.biases) + row * groups * width;

  __m512 total[kR][kM];
  for (auto& t : total) {
    for (auto& v : t) {
      v = _mm512_setzero_ps();
    }
  }
  for (int64_t g = 0; g < groups; g += kGroups) {
    const int64_t left = groups - g;
    const auto mask =
        static_cast<__mmask16>(left >= kGroups ? 0xFFFF : (1 << left) - 1);
    __m512 factors[kR][kM];
    for (int r = 0; r < kR; ++r) {
      const int64_t at = (r * groups + g) * width;
      const __m512 scale = load_factors(w.type, scales + at, mask);
      const __m512 bias = load_factors(w.type, biases + at, mask);
      for (int m = 0; m < kM; ++m) {
        factors[r][m] = _mm512_mul_ps(scale, _mm512_load_ps(x[m].scales + g));
        total[r][m] =
            _mm512_fmadd_ps(bias, _mm512_load_ps(x[m].sums + g), total[r][m]);
      }
    }
    const int64_t begin = g * kGroup;
    const int64_t bytes_left = row_bytes - begin * kBits / 8;
    const int64_t chunks = std::min<int64_t>(
        kChunks<values, kGroup>, (bytes_left + chunk_bytes - 1) / chunk_bytes);
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t left_bytes = bytes_left - c * chunk_bytes;
      const __mmask64 bytes_mask =
          left_bytes >= chunk_bytes ? whole : (1ULL << left_bytes) - 1;
      const uint8_t* p = data + begin * kBits / 8 + c * chunk_bytes;
      const int64_t at = begin + c * values;
      const __m512i lane_groups =
          _mm512_load_si512(kLaneGroups<values, kGroup>[c].data());
      __m512i weights[kR][vectors];
      for (int r = 0; r < kR; ++r) {
        const uint8_t* from = p + r * row_bytes;
        // In the order of memory, though rows are read side by side: twice the
        // bandwidth.
        const uint8_t* line =
            data + (begin / values + c) * kR * chunk_bytes + r * chunk_bytes;
        _mm_prefetch(reinterpret_cast<const char*>(line + kAhead), _MM_HINT_T0);
        load_weights<kBits>(from, bytes_mask, weights[r]);
      }
      for (int m = 0; m < kM; ++m) {
        __m512i sums[kR];
        for (auto& sum : sums) {
          sum = _mm512_setzero_si512();
        }
        for (int64_t limb = 0; limb < kLimbs; ++limb) {
          for (int64_t v = 0; v < vectors; ++v) {
            const __m512i part =
                _mm512_load_si512(x[m].limbs + limb * plane + at + 64 * v);
            for (int r = 0; r < kR; ++r) {
              if (v == 0 && limb > 0) {
                sums[r] = _mm512_slli_epi32(sums[r], kLow);
              }
              // By hand: GCC 12 copies sums around its own function.
              asm("vpdpbusd %2, %1, %0"
                  : "+v"(sums[r])
                  : "v"(weights[r][v]), "v"(part));
            }
          }
        }
        for (int r = 0; r < kR; ++r) {
          total[r][m] = _mm512_fmadd_ps(
              _mm512_cvtepi32_ps(sums[r]),
              _mm512_permutexvar_ps(lane_groups, factors[r][m]),
              total[r][m]);
        }
      }
    }
  }
  for (int r = 0; r < kR; ++r) {
    for (int m = 0; m < kM; ++m) {
      y[m * y_stride + r] = sum_of(total[r][m]);
    }
  }
}

template <int kBits, int kGroup, int kM>
VNNI void all_rows(
    const WeightMatrix& w,
    const Split* x,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride) {
  constexpr int together = kM == 1 ? 4 : 2;
  int64_t r = 0;
  for (; r + together <= count; r += together) {
    dot_rows<kBits, kGroup, kM, together>(w, x, row + r, y + r, y_stride);
  }
  for (; r < count; ++r) {
    dot_rows<kBits, kGroup, kM, 1>(w, x, row + r, y + r, y_stride);
  }
}

template <int kBits, int kGroup>
void rows_of_group(
    const WeightMatrix& w,
    const Split* x,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride) {
  for (int64_t i = 0; i < m; i += 4, y += 4 * y_stride) {
    switch (std::min<int64_t>(4, m - i)) {
      case 1:
        all_rows<kBits, kGroup, 1>(w, x + i, row, count, y, y_stride);
        break;
      case 2:
        all_rows<kBits, kGroup, 2>(w, x + i, row, count, y, y_stride);
        break;
      case 3:
        all_rows<kBits, kGroup, 3>(w, x + i, row, count, y, y_stride);
        break;
      default:
        all_rows<kBits, kGroup, 4>(w, x + i, row, count, y, y_stride);
    }
  }
}

template <int kBits>
void rows_of_bits(
    const WeightMatrix& w,
    const Split* x,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride) {
  switch (w.group) {
    case 32:
      return rows_of_group<kBits, 32>(w, x, m, row, count, y, y_stride);
    case 64:
      return rows_of_group<kBits, 64>(w, x, m, row, count, y, y_stride);
    default:
      return rows_of_group<kBits, 128>(w, x, m, row, count, y, y_stride);
  }
}

// A group's scale, sum and limbs, [count] bytes each.
VNNI void split_group(
    const float* x,
    int64_t count,
    int8_t* limbs,
    int64_t plane,
    float& scale,
    float& sum) {
  __m512 most = _mm512_setzero_ps();
  __m512 nothing = _mm512_setzero_ps(); // NaN if a value is none or infinite
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 v = _mm512_loadu_ps(x + i);
    most = _mm512_max_ps(most, _mm512_abs_ps(v));
    nothing = _mm512_fmadd_ps(v, _mm512_setzero_ps(), nothing);
  }
  const float top = _mm512_reduce_max_ps(most);
  scale = top / kMost + _mm512_reduce_add_ps(nothing);
  const __m512 inverse = _mm512_set1_ps(top > 0 ? kMost / top : 0.0f);
  const __m512i half_high = _mm512_set1_epi32(1 << (2 * kLow - 1));
  const __m512i half_low = _mm512_set1_epi32(1 << (kLow - 1));
  __m512i all = _mm512_setzero_si512();
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i v =
        _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
    all = _mm512_add_epi32(all, v);
    const __m512i high =
        _mm512_srai_epi32(_mm512_add_epi32(v, half_high), 2 * kLow);
    const __m512i rest = _mm512_sub_epi32(v, _mm512_slli_epi32(high, 2 * kLow));
    const __m512i middle =
        _mm512_srai_epi32(_mm512_add_epi32(rest, half_low), kLow);
    const __m512i low = _mm512_sub_epi32(rest, _mm512_slli_epi32(middle, kLow));
    const __m512i parts[kLimbs] = {high, middle, low};
    for (int64_t limb = 0; limb < kLimbs; ++limb) {
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(limbs + limb * plane + i),
          _mm512_cvtepi32_epi8(parts[limb]));
    }
  }
  sum = static_cast<float>(_mm512_reduce_add_epi32(all)) * scale;
}

// 128 values to evens, then odds: where the halves of weights' bytes lie.
VNNI void part_evens(int8_t* p) {
  alignas(64) static constexpr auto evens = [] {
    std::array<uint8_t, 64> t{};
    for (int i = 0; i < 64; ++i) {
      t[i] = static_cast<uint8_t>(2 * i);
    }
    return t;
  }();
  const __m512i a = _mm512_load_si512(p);
  const __m512i b = _mm512_load_si512(p + 64);
  const __m512i index = _mm512_load_si512(evens.data());
  const __m512i next = _mm512_add_epi8(index, _mm512_set1_epi8(1));
  _mm512_store_si512(p, _mm512_permutex2var_epi8(a, index, b));
  _mm512_store_si512(p + 64, _mm512_permutex2var_epi8(a, next, b));
}

constexpr int64_t kMostRows = 16;

} // namespace

bool affine_vnni_runs() {
  return runs_vnni();
}

int64_t affine_vnni_floats(const WeightMatrix& w, int64_t m) {
  return m * split_floats(w);
}

VNNI void affine_vnni_split(
    const WeightMatrix& w,
    const float* x,
    int64_t m,
    float* split) {
  const int64_t plane = padded(w);
  const int64_t groups = w.columns / w.group;
  for (int64_t i = 0; i < m; ++i, x += w.columns, split += split_floats(w)) {
    auto* limbs = reinterpret_cast<int8_t*>(split);
    float* scales = split + kLimbs * plane / 4;
    float* sums = scales + padded_groups(w);
    std::fill(scales, scales + 2 * padded_groups(w), 0.0f);
    for (int64_t limb = 0; limb < kLimbs; ++limb) {
      std::memset(limbs + limb * plane + w.columns, 0, plane - w.columns);
    }
    for (int64_t g = 0; g < groups; ++g) {
      split_group(
          x + g * w.group,
          w.group,
          limbs + g * w.group,
          plane,
          scales[g],
          sums[g]);
    }
    if (w.bits == 4) {
      for (int64_t at = 0; at < kLimbs * plane; at += 128) {
        part_evens(limbs + at);
      }
    }
  }
}

void affine_vnni_rows(
    const WeightMatrix& w,
    const float* split,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride) {
  for (int64_t i = 0; i < m; i += kMostRows) {
    Split x[kMostRows];
    int64_t rows = std::min(kMostRows, m - i);
    for (int64_t j = 0; j < rows; ++j) {
      const float* at = split + (i + j) * split_floats(w);
      x[j].limbs = reinterpret_cast<const int8_t*>(at);
      x[j].scales = at + kLimbs * padded(w) / 4;
      x[j].sums = x[j].scales + padded_groups(w);
    }
    float* to = y + i * y_stride;
    switch (w.bits) {
      case 2:
        rows_of_bits<2>(w, x, rows, row, count, to, y_stride);
        break;
      case 3:
        rows_of_bits<3>(w, x, rows, row, count, to, y_stride);
        break;
      case 4:
        rows_of_bits<4>(w, x, rows, row, count, to, y_stride);
        break;
      case 5:
        rows_of_bits<5>(w, x, rows, row, count, to, y_stride);
        break;
      case 6:
        rows_of_bits<6>(w, x, rows, row, count, to, y_stride);
        break;
      default:
        rows_of_bits<8>(w, x, rows, row, count, to, y_stride);
    }
  }
}

} // namespace mlx_audio::kernels

#else // not x86

namespace mlx_audio::kernels {

bool affine_vnni_runs() {
  return false;
}

int64_t affine_vnni_floats(const WeightMatrix& /* w */, int64_t /* m */) {
  return 0;
}

void affine_vnni_split(
    const WeightMatrix& /* w */,
    const float* /* x */,
    int64_t /* m */,
    float* /* split */) {}

void affine_vnni_rows(
    const WeightMatrix& /* w */,
    const float* /* split */,
    int64_t /* m */,
    int64_t /* row */,
    int64_t /* count */,
    float* /* y */,
    int64_t /* y_stride */) {}

} // namespace mlx_audio::kernels

#endif
