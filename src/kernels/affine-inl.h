// MLX's affine-quantized rows as vectors, for Highway kernels.
//
// A row is a bit stream of `bits`-wide unsigned values. A 128-bit block of a
// vector takes 4 windows of 32 bits, each with kPerLane consecutive values; the
// values are then taken out one of each lane at a time, so that a chunk of
// lanes x kPerLane values comes out in the order [kPerLane][lanes] ("lane
// order"), not in memory order. What is multiplied with it is put into the same
// order first.
#if defined(MLX_AUDIO_KERNELS_AFFINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_AFFINE_INL_H_
#undef MLX_AUDIO_KERNELS_AFFINE_INL_H_
#else
#define MLX_AUDIO_KERNELS_AFFINE_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

#include "kernels/convert-inl.h"
#include "kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <int kBits>
struct Affine {
  static constexpr bool kIsFloat = false;
#if HWY_TARGET == HWY_SCALAR
  static constexpr int kPerLane = 1;
#else
  static constexpr int kPerLane = kBits <= 4 ? 8 : 4;
#endif
  static constexpr int kBlockBytes = kPerLane * kBits / 2; // of 4 windows

  /// Values of a chunk.
  static constexpr int64_t chunk() {
    return hn::MaxLanes(hn::ScalableTag<float>()) * kPerLane;
  }
  static constexpr int64_t chunk_bytes() {
    return chunk() * kBits / 8;
  }

  /// Bit where value j of window `lane` starts.
  static constexpr uint32_t bit(int lane, int j) {
    return lane * kPerLane * kBits % 8 + j * kBits;
  }
  /// A value whose highest bit is the window's is shifted down, as its masked
  /// window would be negative as an int; others are masked in place.
  static constexpr bool shifted(int j) {
    return bit(0, j) + kBits == 32;
  }

  struct Tables {
    std::array<uint8_t, 16> bytes; // of the 4 windows in their block
    std::array<std::array<uint32_t, 4>, kPerLane> masks;
    std::array<std::array<uint32_t, 4>, kPerLane> shifts;
    std::array<std::array<float, 4>, kPerLane> weights; // of masked values
  };

  static constexpr Tables make_tables() {
    Tables t{};
    for (int lane = 0; lane < 4; ++lane) {
      for (int i = 0; i < 4; ++i) {
        t.bytes[4 * lane + i] =
            static_cast<uint8_t>(lane * kPerLane * kBits / 8 + i);
      }
      for (int j = 0; j < kPerLane; ++j) {
        t.shifts[j][lane] = bit(lane, j);
        t.masks[j][lane] = ((1u << kBits) - 1) << (bit(lane, j) & 31);
        t.weights[j][lane] =
            shifted(j) ? 1.0f : 1.0f / static_cast<float>(1u << bit(lane, j));
      }
    }
    return t;
  }
  alignas(16) static constexpr Tables kTables = make_tables();
};

#if HWY_TARGET != HWY_SCALAR

// Blocks of 16 bytes, `stride` bytes apart.
template <int stride, class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const uint8_t* p) {
  if constexpr (hn::MaxLanes(d) == 16 || stride == 16) {
    return hn::LoadU(d, p);
  } else {
    const hn::Half<D> half;
    constexpr int64_t step = hn::MaxLanes(half) / 16 * stride;
    return hn::Combine(
        d, load_blocks<stride>(half, p + step), load_blocks<stride>(half, p));
  }
}

/// The windows of the chunk at p. Reads up to 16 bytes beyond it.
template <int kBits, class DU>
HWY_INLINE hn::Vec<DU> load_windows(DU du, const uint8_t* p) {
  using A = Affine<kBits>;
  const hn::Repartition<uint8_t, DU> d8;
  auto v = load_blocks<A::kBlockBytes>(d8, p);
  if constexpr (A::kBlockBytes != 16) {
    v = hn::TableLookupBytes(v, hn::LoadDup128(d8, A::kTables.bytes.data()));
  }
  return hn::BitCast(du, v);
}

/// Value j of each window times 2^bit, or as it is where shifted(j).
template <int kBits, int j, class D, class VU>
HWY_INLINE hn::Vec<D> masked_value(D d, VU windows) {
  using A = Affine<kBits>;
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  if constexpr (A::shifted(j)) {
    return hn::ConvertTo(
        d, hn::BitCast(di, hn::ShiftRight<32 - kBits>(windows)));
  } else {
    const auto mask = hn::LoadDup128(du, A::kTables.masks[j].data());
    return hn::ConvertTo(d, hn::BitCast(di, hn::And(windows, mask)));
  }
}

/// Value j of each window.
template <int kBits, int j, class D, class VU>
HWY_INLINE hn::Vec<D> plain_value(D d, VU windows) {
  using A = Affine<kBits>;
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  if constexpr (A::bit(1, 0) == A::bit(0, 0)) {
    windows = hn::ShiftRight<static_cast<int>(A::bit(0, j))>(windows);
  } else {
    windows = hn::Shr(windows, hn::LoadDup128(du, A::kTables.shifts[j].data()));
  }
  const auto mask = hn::Set(du, (1u << kBits) - 1);
  return hn::ConvertTo(d, hn::BitCast(di, hn::And(windows, mask)));
}

#endif // HWY_TARGET != HWY_SCALAR

/// Calls function(integral_constant<int, j>) for j in [0, count).
template <int count, class Function>
HWY_INLINE void unrolled(Function function) {
  [&]<int... j>(std::integer_sequence<int, j...>) HWY_ATTR {
    (function(std::integral_constant<int, j>()), ...);
  }(std::make_integer_sequence<int, count>());
}

/// The group factors of a chunk's lanes, from a row of factors in f32 that has
/// a vector of padding at its end.
template <int kBits>
class LaneFactors {
 public:
  explicit LaneFactors(int group)
      : lanes_per_group_(group / Affine<kBits>::kPerLane) {
    for (int i = 0; i < kLanes; ++i) {
      table_[i] = i / std::min(lanes_per_group_, kLanes);
    }
    for (int shift = 0; (kLanes << shift) < lanes_per_group_; ++shift) {
      chunks_shift_ = shift + 1;
    }
  }

  template <class D>
  HWY_INLINE hn::Vec<D> load(D d, const float* factors, int64_t chunk) const {
    if (lanes_per_group_ >= kLanes) {
      return hn::Set(d, factors[chunk >> chunks_shift_]);
    }
    const float* p = factors + chunk * (kLanes / lanes_per_group_);
    return hn::TableLookupLanes(
        hn::LoadU(d, p), hn::SetTableIndices(d, table_));
  }

 private:
  static constexpr int kLanes =
      static_cast<int>(hn::MaxLanes(hn::ScalableTag<float>()));

  int lanes_per_group_;
  int chunks_shift_ = 0; // log2 of chunks per group
  HWY_ALIGN int32_t table_[kLanes];
};

/// [lanes][kPerLane] -> [kPerLane][lanes], chunk by chunk; count is a multiple
/// of the chunk.
template <int kBits>
void to_lane_order(const float* from, float* to, int64_t count) {
  using A = Affine<kBits>;
  constexpr int64_t chunk = A::chunk();
  constexpr int64_t lanes = chunk / A::kPerLane;
  for (int64_t c = 0; c < count; c += chunk) {
    for (int64_t j = 0; j < A::kPerLane; ++j) {
      for (int64_t lane = 0; lane < lanes; ++lane) {
        to[c + j * lanes + lane] = from[c + lane * A::kPerLane + j];
      }
    }
  }
}

/// Memory-order value i of a row.
template <int kBits>
HWY_INLINE uint32_t value_at(const uint8_t* row, int64_t i) {
  int64_t bit = i * kBits;
  uint32_t low = row[bit / 8] >> (bit % 8);
  if (bit % 8 + kBits > 8) {
    low |= static_cast<uint32_t>(row[bit / 8 + 1]) << (8 - bit % 8);
  }
  return low & ((1u << kBits) - 1);
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
