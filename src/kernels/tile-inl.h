// The register tile that matrix products are made of, for Highway kernels.
#if defined(MLX_AUDIO_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_TILE_INL_H_
#undef MLX_AUDIO_KERNELS_TILE_INL_H_
#else
#define MLX_AUDIO_KERNELS_TILE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <utility>

#include <hwy/highway.h>

#include "kernels/round_up.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<float>());
// A tile's sums fill the registers: 12 of 16, or 24 of 32.
constexpr int kTileVectors = HWY_TARGET == HWY_NEON ? 4 : 2;
constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 12 : 6;
constexpr int64_t kTileColumns = kTileVectors * kLanes;

/// c [rows, columns] (+)= a [rows, depth] times the panel b [depth,
/// kTileColumns].
template <int rows>
void multiply_tile(
    const float* HWY_RESTRICT a,
    int64_t a_stride,
    const float* HWY_RESTRICT b,
    int64_t depth,
    float* HWY_RESTRICT c,
    int64_t c_stride,
    int64_t columns,
    bool first) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  V sums[rows][kTileVectors];
  for (auto& row : sums) {
    for (auto& sum : row) {
      sum = hn::Zero(d);
    }
  }
  const float* row_at[rows];
  for (int r = 0; r < rows; ++r) {
    row_at[r] = a + r * a_stride;
  }
  for (int64_t k = 0; k < depth; ++k) {
    V w[kTileVectors];
    for (int v = 0; v < kTileVectors; ++v) {
      w[v] = hn::Load(d, b + k * kTileColumns + v * kLanes);
    }
    for (int r = 0; r < rows; ++r) {
      const V x = hn::Set(d, row_at[r][k]);
      for (int v = 0; v < kTileVectors; ++v) {
        sums[r][v] = hn::MulAdd(x, w[v], sums[r][v]);
      }
    }
  }
  if (columns == kTileColumns) {
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < kTileVectors; ++v) {
        float* p = c + r * c_stride + v * kLanes;
        hn::StoreU(
            first ? sums[r][v] : hn::Add(sums[r][v], hn::LoadU(d, p)), d, p);
      }
    }
    return;
  }
  HWY_ALIGN float tile[rows * kTileColumns];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < kTileVectors; ++v) {
      hn::Store(sums[r][v], d, tile + r * kTileColumns + v * kLanes);
    }
    for (int64_t j = 0; j < columns; ++j) {
      float* p = c + r * c_stride + j;
      *p = tile[r * kTileColumns + j] + (first ? 0.0f : *p);
    }
  }
}

using Tile = void (*)(
    const float*,
    int64_t,
    const float*,
    int64_t,
    float*,
    int64_t,
    int64_t,
    bool);

template <int... rows>
HWY_INLINE Tile tile_at(int64_t count, std::integer_sequence<int, rows...>) {
  static constexpr Tile tiles[] = {multiply_tile<rows + 1>...};
  return tiles[count - 1];
}

/// multiply_tile for 1 to kTileRows rows.
HWY_INLINE Tile tile_of(int64_t rows) {
  return tile_at(rows, std::make_integer_sequence<int, kTileRows>());
}

/// from [4, stride] -> to [columns, kTileColumns], columns a multiple of 4;
/// `to` is aligned to 16 bytes. One instruction set has tiles of two columns
/// only: there from is [2, stride].
inline void transpose_into_panel(
    const float* from,
    int64_t stride,
    int64_t columns,
    float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t k = 0; k < columns; ++k) {
    for (int64_t r = 0; r < std::min<int64_t>(4, kTileColumns); ++r) {
      to[k * kTileColumns + r] = from[r * stride + k];
    }
  }
#else
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> d2;
  for (int64_t k = 0; k < columns; k += 4) {
    const auto a = hn::LoadU(d, from + k);
    const auto b = hn::LoadU(d, from + stride + k);
    const auto c = hn::LoadU(d, from + 2 * stride + k);
    const auto e = hn::LoadU(d, from + 3 * stride + k);
    const auto ab0 = hn::BitCast(d2, hn::InterleaveLower(d, a, b));
    const auto ab1 = hn::BitCast(d2, hn::InterleaveUpper(d, a, b));
    const auto ce0 = hn::BitCast(d2, hn::InterleaveLower(d, c, e));
    const auto ce1 = hn::BitCast(d2, hn::InterleaveUpper(d, c, e));
    float* p = to + k * kTileColumns;
    const auto put = [&](auto v, int64_t row) HWY_ATTR {
      hn::Store(hn::BitCast(d, v), d, p + row * kTileColumns);
    };
    put(hn::InterleaveLower(d2, ab0, ce0), 0);
    put(hn::InterleaveUpper(d2, ab0, ce0), 1);
    put(hn::InterleaveLower(d2, ab1, ce1), 2);
    put(hn::InterleaveUpper(d2, ab1, ce1), 3);
  }
#endif
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
