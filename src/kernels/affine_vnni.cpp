#include "kernels/affine_vnni.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/simd.h"

#include <hwy/detect_targets.h>

#if HWY_ARCH_X86_64
#include "kernels/affine_vnni-inl.h"

namespace mlx_audio::kernels {

namespace {

using namespace vnni;

constexpr int64_t kLimbs = 3;
constexpr int64_t kPadding = 128; // values a row of x is padded to
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

/// Values whose products are summed at once: of 8 bits, which lie in bytes
/// already, one vector; of others two, so that each lane of sums gets 8 of one
/// group.
template <int kBits>
constexpr int64_t kChunk = kBits == 8 ? 64 : 128;

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

// Of 128 values in blocks of 16, the even blocks make the first vector and the
// odd ones the second: lane l of both then holds values of l / 4's 32. Of 4
// bits these are even and odd values, as they lie in bytes. x is put into the
// same order.
struct Halves {
  alignas(64) std::array<int64_t, 8> even; // of 16 words of 8 bytes
  alignas(64) std::array<int64_t, 8> odd;
};
constexpr Halves kHalves = {
    {0, 1, 4, 5, 8, 9, 12, 13},
    {2, 3, 6, 7, 10, 11, 14, 15}};

// The bytes of 128 values of kBits that each half's 64-bit lanes need.
template <int kBits>
struct HalfBytes {
  alignas(64) std::array<std::array<uint8_t, 64>, 2> of;
};

template <int kBits>
constexpr HalfBytes<kBits> make_half_bytes() {
  HalfBytes<kBits> result{};
  for (int half = 0; half < 2; ++half) {
    for (int lane = 0; lane < 8; ++lane) {
      int64_t eight = half == 0 ? kHalves.even[lane] : kHalves.odd[lane];
      for (int i = 0; i < 8; ++i) {
        result.of[half][8 * lane + i] =
            static_cast<uint8_t>(kBits * eight + (i < kBits ? i : kBits - 1));
      }
    }
  }
  return result;
}

template <int kBits>
constexpr HalfBytes<kBits> kHalfBytes = make_half_bytes<kBits>();

VNNI_INLINE void fetch(const uint8_t* p, bool far) {
  if (far) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1);
  } else {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
}

VNNI_INLINE float sum_of(__m512 v) {
  return _mm512_reduce_add_ps(v);
}

// The weights of a chunk as unsigned bytes, in the order of x's limbs. Only
// the first `count` bytes are read.
template <int kBits>
VNNI_INLINE void load_weights(const uint8_t* p, int64_t count, __m512i* w) {
  constexpr int64_t first = std::min<int64_t>(64, kChunk<kBits> * kBits / 8);
  constexpr __mmask64 whole = first == 64 ? ~0ULL : (1ULL << (first % 64)) - 1;
  const __m512i raw =
      _mm512_maskz_loadu_epi8(count >= first ? whole : (1ULL << count) - 1, p);
  if constexpr (kBits == 8) {
    w[0] = raw;
  } else if constexpr (kBits == 4) {
    const __m512i mask = _mm512_set1_epi8(15);
    w[0] = _mm512_and_si512(raw, mask);
    w[1] = _mm512_and_si512(_mm512_srli_epi16(raw, 4), mask);
  } else {
    const __m512i shifts = _mm512_load_si512(kSpread<kBits>.shifts.data());
    const __m512i mask = _mm512_set1_epi8((1 << kBits) - 1);
    __m512i lanes[2];
    if constexpr (kBits > 4) {
      constexpr int64_t second = kChunk<kBits> * kBits / 8 - 64;
      const int64_t left = std::clamp<int64_t>(count - 64, 0, second);
      const __m512i more = _mm512_maskz_loadu_epi8((1ULL << left) - 1, p + 64);
      for (int half = 0; half < 2; ++half) {
        lanes[half] = _mm512_permutex2var_epi8(
            raw, _mm512_load_si512(kHalfBytes<kBits>.of[half].data()), more);
      }
    } else {
      for (int half = 0; half < 2; ++half) {
        lanes[half] = _mm512_permutexvar_epi8(
            _mm512_load_si512(kHalfBytes<kBits>.of[half].data()), raw);
      }
    }
    for (int half = 0; half < 2; ++half) {
      w[half] = _mm512_and_si512(
          _mm512_multishift_epi64_epi8(shifts, lanes[half]), mask);
    }
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
  const int64_t groups = w.columns / kGroup;
  const int64_t row_bytes = w.columns * kBits / 8;
  const int64_t width = w.type == FloatType::f32 ? 4 : 2;
  // Rows that are read side by side end together: the next ones must be there.
  const int64_t ahead = std::max(kAhead, kR * row_bytes);
  const bool far = ahead > kAheadInL1;
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
      const int64_t here = bytes_left - c * chunk_bytes;
      const uint8_t* p = data + begin * kBits / 8 + c * chunk_bytes;
      const int64_t at = begin + c * values;
      const __m512i lane_groups =
          _mm512_load_si512(kLaneGroups<values, kGroup>[c].data());
      __m512i weights[kR][vectors];
      for (int r = 0; r < kR; ++r) {
        // In the order of memory, though rows are read side by side: twice the
        // bandwidth.
        const uint8_t* line =
            data + (begin / values + c) * kR * chunk_bytes + r * chunk_bytes;
        for (int64_t b = 0; b < chunk_bytes; b += 64) {
          fetch(line + ahead + b, far);
        }
        load_weights<kBits>(p + r * row_bytes, here, weights[r]);
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
                sums[r] = _mm512_slli_epi32(sums[r], kLow<kLimbs>);
              }
              dot_bytes(sums[r], weights[r][v], part);
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

// 128 values in the order of weights of kBits.
VNNI void order_limbs(int8_t* p, int bits) {
  alignas(64) static constexpr auto evens = [] {
    std::array<uint8_t, 64> t{};
    for (int i = 0; i < 64; ++i) {
      t[i] = static_cast<uint8_t>(2 * i);
    }
    return t;
  }();
  const __m512i a = _mm512_load_si512(p);
  const __m512i b = _mm512_load_si512(p + 64);
  if (bits == 4) {
    const __m512i index = _mm512_load_si512(evens.data());
    const __m512i next = _mm512_add_epi8(index, _mm512_set1_epi8(1));
    _mm512_store_si512(p, _mm512_permutex2var_epi8(a, index, b));
    _mm512_store_si512(p + 64, _mm512_permutex2var_epi8(a, next, b));
    return;
  }
  const __m512i even = _mm512_load_si512(kHalves.even.data());
  const __m512i odd = _mm512_load_si512(kHalves.odd.data());
  _mm512_store_si512(p, _mm512_permutex2var_epi64(a, even, b));
  _mm512_store_si512(p + 64, _mm512_permutex2var_epi64(a, odd, b));
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
    for (int64_t at = 0; w.bits != 8 && at < kLimbs * plane; at += 128) {
      order_limbs(limbs + at, w.bits);
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
