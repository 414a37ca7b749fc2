#include "kernels/affine_vnni.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "kernels/simd.h"

#include <hwy/detect_targets.h>

#if HWY_ARCH_X86_64
#include "kernels/affine_vnni-inl.h"

namespace mlx_audio::kernels {

namespace {

using namespace vnni;

constexpr int64_t kLimbs = 3;
constexpr int64_t kPadding = 256; // values a row of x is padded to
constexpr int64_t kGroups = 16; // groups in a block: a vector of factors
constexpr int64_t kAhead =
    2048; // bytes that weights are fetched ahead, at least
constexpr int64_t kAheadInL1 = 8192; // more than that goes to L2

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

/// Values whose products are summed at once, before they are converted and
/// scaled: each lane of sums gets those of one group.
template <int kBits>
constexpr int64_t kChunk = kBits == 8 ? 64 : (kBits <= 3 ? 256 : 128);

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

// Which value of a chunk byte i of vector v holds when weights come out of
// load_weights(): x is put into the same order. A 32-bit lane has values of one
// group in all vectors: of its sixteenth of the chunk, or of its quarter where
// they come by eights.
template <int kBits>
constexpr int64_t value_in(int64_t v, int64_t i) {
  switch (kBits) {
    case 2:
    case 4: // as they lie in bytes
      return 8 / kBits * i + v;
    case 3: // pairs, as they lie in 6 bits
      return i / 4 * 16 + v / 2 * 8 + i % 4 * 2 + v % 2;
    case 8:
      return i;
    default: // by eights
      return i / 16 * 32 + v * 16 + i % 16;
  }
}

template <int kBits>
constexpr auto make_order() {
  std::array<std::array<uint8_t, 64>, kChunk<kBits> / 64> order{};
  for (size_t v = 0; v < order.size(); ++v) {
    for (int64_t i = 0; i < 64; ++i) {
      order[v][i] = static_cast<uint8_t>(
          value_in<kBits>(static_cast<int64_t>(v), i) % 128);
    }
  }
  return order;
}

template <int kBits>
alignas(64) constexpr auto kOrder = make_order<kBits>();

// The bytes of a chunk that each 64-bit lane of two vectors needs, and where
// fields start there: of 5 and 6 bits 8 values in a row, of 3 bits twice 4
// pairs of values.
template <int kBits>
struct Lanes {
  static constexpr int kField = kBits == 3 ? 6 : kBits;
  alignas(64) std::array<std::array<uint8_t, 64>, 2> bytes;
  alignas(64) std::array<uint8_t, 64> shifts;
};

template <int kBits>
constexpr Lanes<kBits> make_lanes() {
  constexpr bool pairs = kBits == 3;
  Lanes<kBits> result{};
  for (int64_t i = 0; i < 64; ++i) {
    int64_t byte = i % 8;
    int64_t run = byte / kBits; // of 8 values
    for (int64_t half = 0; run < (pairs ? 2 : 1) && half < 2; ++half) {
      int64_t first =
          value_in<kBits>(pairs ? 2 * half : half, i - byte + 4 * run);
      result.bytes[half][i] =
          static_cast<uint8_t>(first * kBits / 8 + byte % kBits);
    }
    result.shifts[i] = static_cast<uint8_t>(byte * Lanes<kBits>::kField);
  }
  return result;
}

template <int kBits>
constexpr Lanes<kBits> kLanes = make_lanes<kBits>();

template <bool kFar>
VNNI_INLINE void fetch(const uint8_t* p) {
  if constexpr (kFar) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
  } else {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
}

VNNI_INLINE float sum_of(__m512 v) {
  return _mm512_reduce_add_ps(v);
}

// The lowest `count` of 64 bytes.
VNNI_INLINE __mmask64 first_bytes(int64_t count) {
  return count >= 64 ? ~0ULL : (1ULL << std::max<int64_t>(count, 0)) - 1;
}

// The weights of a chunk as unsigned bytes, in the order of value_in(). Only
// bytes of the masks are read.
template <int kBits>
VNNI_INLINE void load_weights(
    const uint8_t* p,
    __mmask64 first,
    __mmask64 second, // of chunks of more than 64 bytes
    __m512i* w) {
  const __m512i raw = _mm512_maskz_loadu_epi8(first, p);
  const __m512i mask = _mm512_set1_epi8((1 << kBits) - 1);
  if constexpr (kBits == 8) {
    w[0] = raw;
  } else if constexpr (kBits == 4 || kBits == 2) {
    w[0] = _mm512_and_si512(raw, mask);
#pragma GCC unroll 4
    for (int v = 1; v < 8 / kBits; ++v) {
      w[v] = _mm512_and_si512(_mm512_srli_epi16(raw, v * kBits), mask);
    }
  } else {
    const __m512i more = _mm512_maskz_loadu_epi8(second, p + 64);
    const __m512i shifts = _mm512_load_si512(kLanes<kBits>.shifts.data());
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m512i bytes = _mm512_load_si512(kLanes<kBits>.bytes[half].data());
      const __m512i fields = _mm512_multishift_epi64_epi8(
          shifts, _mm512_permutex2var_epi8(raw, bytes, more));
      if constexpr (kBits == 3) {
        w[2 * half] = _mm512_and_si512(fields, mask);
        w[2 * half + 1] = _mm512_and_si512(_mm512_srli_epi16(fields, 3), mask);
      } else {
        w[half] = _mm512_and_si512(fields, mask);
      }
    }
  }
}

// Rows [row, row + kR) of W with kM rows of x. Weights are fetched `ahead`
// bytes before they are needed, to L2 if that is far.
template <int kBits, int kGroup, int kM, int kR, bool kFar>
VNNI void dot_rows(
    const WeightMatrix& w,
    const Split* x,
    int64_t row,
    int64_t ahead,
    float* y,
    int64_t y_stride) {
  constexpr int64_t values = kChunk<kBits>;
  constexpr int64_t vectors = values / 64;
  constexpr int64_t chunk_bytes = values * kBits / 8;
  const int64_t groups = w.columns / kGroup;
  const int64_t row_bytes = w.columns * kBits / 8;
  const int64_t width = w.type == FloatType::f32 ? 4 : 2;
  const int64_t plane = padded(w);
  const auto* data = static_cast<const uint8_t*>(w.data) + row * row_bytes;
  const auto* scales =
      static_cast<const uint8_t*>(w.scales) + row * groups * width;
  const auto* biases =
      static_cast<const uint8_t*>(w.biases) + row * groups * width;

  // GCC 12 keeps arrays of vectors in memory, and stores them again and again,
  // unless it is told to unroll the loops over them.
  __m512 total[kR][kM];
#pragma GCC unroll 4
  for (auto& t : total) {
#pragma GCC unroll 4
    for (auto& v : t) {
      v = _mm512_setzero_ps();
    }
  }
  for (int64_t g = 0; g < groups; g += kGroups) {
    const int64_t left = groups - g;
    const auto mask =
        static_cast<__mmask16>(left >= kGroups ? 0xFFFF : (1 << left) - 1);
    __m512 factors[kR][kM];
#pragma GCC unroll 4
    for (int r = 0; r < kR; ++r) {
      const int64_t at = (r * groups + g) * width;
      const __m512 scale = load_factors(w.type, scales + at, mask);
      const __m512 bias = load_factors(w.type, biases + at, mask);
#pragma GCC unroll 4
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
      const int64_t here = std::min(bytes_left - c * chunk_bytes, chunk_bytes);
      const __mmask64 first = first_bytes(here);
      const __mmask64 second = first_bytes(here - 64);
      const uint8_t* p = data + begin * kBits / 8 + c * chunk_bytes;
      const int64_t at = begin + c * values;
      const __m512i lane_groups =
          _mm512_load_si512(kLaneGroups<values, kGroup>[c].data());
      __m512i weights[kR][vectors];
#pragma GCC unroll 4
      for (int r = 0; r < kR; ++r) {
        // In the order of memory, though rows are read side by side: twice the
        // bandwidth.
        const uint8_t* line =
            data + (begin / values + c) * kR * chunk_bytes + r * chunk_bytes;
#pragma GCC unroll 4
        for (int64_t b = 0; b < chunk_bytes; b += 64) {
          fetch<kFar>(line + ahead + b);
        }
        load_weights<kBits>(p + r * row_bytes, first, second, weights[r]);
      }
#pragma GCC unroll 4
      for (int m = 0; m < kM; ++m) {
        __m512i sums[kR];
#pragma GCC unroll 4
        for (auto& sum : sums) {
          sum = _mm512_setzero_si512();
        }
#pragma GCC unroll 4
        for (int64_t limb = 0; limb < kLimbs; ++limb) {
#pragma GCC unroll 4
          for (int64_t v = 0; v < vectors; ++v) {
            const __m512i part =
                _mm512_load_si512(x[m].limbs + limb * plane + at + 64 * v);
#pragma GCC unroll 4
            for (int r = 0; r < kR; ++r) {
              if (v == 0 && limb > 0) {
                sums[r] = _mm512_slli_epi32(sums[r], kLow<kLimbs>);
              }
              dot_bytes(sums[r], weights[r][v], part);
            }
          }
        }
#pragma GCC unroll 4
        for (int r = 0; r < kR; ++r) {
          total[r][m] = _mm512_fmadd_ps(
              _mm512_cvtepi32_ps(sums[r]),
              _mm512_permutexvar_ps(lane_groups, factors[r][m]),
              total[r][m]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
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
  // Rows that are read side by side end together: the next ones must be there.
  const int64_t ahead = std::max(kAhead, together * w.columns * kBits / 8);
  auto* dot = ahead > kAheadInL1 ? dot_rows<kBits, kGroup, kM, together, true>
                                 : dot_rows<kBits, kGroup, kM, together, false>;
  int64_t r = 0;
  for (; r + together <= count; r += together) {
    dot(w, x, row + r, ahead, y + r, y_stride);
  }
  for (; r < count; ++r) {
    dot_rows<kBits, kGroup, kM, 1, false>(
        w, x, row + r, ahead, y + r, y_stride);
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

// Limbs of x in the order of weights.
template <int kBits>
VNNI void order_limbs(int8_t* p, int64_t count) {
  constexpr int64_t vectors = kChunk<kBits> / 64;
  for (int64_t at = 0; at < count; at += kChunk<kBits>, p += kChunk<kBits>) {
    __m512i in[vectors];
    for (int64_t v = 0; v < vectors; ++v) {
      in[v] = _mm512_load_si512(p + 64 * v);
    }
    for (int64_t v = 0; v < vectors; ++v) {
      const __m512i order = _mm512_load_si512(kOrder<kBits>[v].data());
      __m512i out = _mm512_permutex2var_epi8(in[0], order, in[1]);
      if constexpr (vectors == 4) { // whose second half is in the upper lanes
        out = _mm512_mask_blend_epi64(
            0xF0, out, _mm512_permutex2var_epi8(in[2], order, in[3]));
      }
      _mm512_store_si512(p + 64 * v, out);
    }
  }
}

// Calls function(integral_constant<int, bits>).
template <class Function>
void with_bits(const WeightMatrix& w, Function function) {
  switch (w.bits) {
    case 2:
      return function(std::integral_constant<int, 2>());
    case 3:
      return function(std::integral_constant<int, 3>());
    case 4:
      return function(std::integral_constant<int, 4>());
    case 5:
      return function(std::integral_constant<int, 5>());
    case 6:
      return function(std::integral_constant<int, 6>());
    default:
      return function(std::integral_constant<int, 8>());
  }
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
      split_group<kLimbs>(
          x + g * w.group,
          w.group,
          limbs + g * w.group,
          plane,
          scales[g],
          sums[g]);
    }
    with_bits(w, [&](auto bits) {
      if constexpr (bits() != 8) {
        order_limbs<bits()>(limbs, kLimbs * plane);
      }
    });
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
    with_bits(w, [&](auto bits) {
      rows_of_bits<bits()>(w, x, rows, row, count, to, y_stride);
    });
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
