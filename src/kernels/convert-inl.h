// Loads and stores of f32, bf16 and f16 as vectors of f32, for Highway kernels.
#if defined(MLX_AUDIO_KERNELS_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_CONVERT_INL_H_
#undef MLX_AUDIO_KERNELS_CONVERT_INL_H_
#else
#define MLX_AUDIO_KERNELS_CONVERT_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

#include "kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> load_f32(D d, const float* p) {
  return hn::LoadU(d, p);
}

template <class D>
HWY_INLINE hn::Vec<D> load_f32(D d, const hwy::bfloat16_t* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
}

template <class D>
HWY_INLINE hn::Vec<D> load_f32(D d, const hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, D> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, p));
}

template <class D>
HWY_INLINE void store_f32(D d, hn::Vec<D> v, float* p) {
  hn::StoreU(v, d, p);
}

// Rounds to nearest even; NaN stays NaN.
template <class D>
HWY_INLINE void store_f32(D /* d */, hn::Vec<D> v, hwy::bfloat16_t* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, uint32_t{1}));
  auto rounded = hn::ShiftRight<16>(
      hn::Add(bits, hn::Add(odd, hn::Set(du, uint32_t{0x7FFF}))));
  const auto nan = hn::RebindMask(du, hn::IsNaN(v));
  rounded = hn::IfThenElse(nan, hn::Set(du, uint32_t{0x7FC0}), rounded);
  const auto narrow = hn::DemoteTo(d16, hn::BitCast(di, rounded));
  hn::StoreU(narrow, d16, reinterpret_cast<uint16_t*>(p));
}

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_SSE4

// Highway's own emulation truncates.
HWY_INLINE uint16_t round_to_f16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7FFFFFFF;
  if (bits >= 0x47800000) { // 2^16
    return sign | (bits > 0x7F800000 ? 0x7E00 : 0x7C00);
  }
  if (bits < 0x38800000) { // below 2^-14: adding 1/2 aligns the last bit
    float small;
    std::memcpy(&small, &bits, sizeof(bits));
    small += 0.5f;
    std::memcpy(&bits, &small, sizeof(bits));
    return sign | static_cast<uint16_t>(bits - 0x3F000000);
  }
  bits += 0xC8000FFF + (bits >> 13 & 1); // exponent from bias 127 to 15
  return sign | static_cast<uint16_t>(bits >> 13);
}

template <class D>
HWY_INLINE void store_f32(D d, hn::Vec<D> v, hwy::float16_t* p) {
  HWY_ALIGN float wide[hn::MaxLanes(d)];
  hn::Store(v, d, wide);
  for (size_t i = 0; i < hn::MaxLanes(d); ++i) {
    const uint16_t bits = round_to_f16(wide[i]);
    std::memcpy(p + i, &bits, sizeof(bits));
  }
}

#else

template <class D>
HWY_INLINE void store_f32(D /* d */, hn::Vec<D> v, hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, D> d16;
  hn::StoreU(hn::DemoteTo(d16, v), d16, p);
}

#endif

template <class T>
void convert_to_f32(const T* from, float* to, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(load_f32(d, from + i), d, to + i);
  }
  if (i < count) {
    T tail[HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float wide[HWY_MAX_BYTES / sizeof(float)];
    std::memcpy(tail, from + i, (count - i) * sizeof(T));
    hn::Store(load_f32(d, tail), d, wide);
    std::memcpy(to + i, wide, (count - i) * sizeof(float));
  }
}

template <class T>
void convert_from_f32(const float* from, T* to, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    store_f32(d, hn::LoadU(d, from + i), to + i);
  }
  if (i < count) {
    T tail[HWY_MAX_BYTES / sizeof(float)];
    HWY_ALIGN float wide[HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(wide, from + i, (count - i) * sizeof(float));
    store_f32(d, hn::Load(d, wide), tail);
    std::memcpy(to + i, tail, (count - i) * sizeof(T));
  }
}

/// Calls function(pointer) with `data + offset` elements of the given type.
template <class Function>
HWY_INLINE auto
with_type(FloatType type, const void* data, int64_t offset, Function function) {
  switch (type) {
    case FloatType::bf16:
      return function(static_cast<const hwy::bfloat16_t*>(data) + offset);
    case FloatType::f16:
      return function(static_cast<const hwy::float16_t*>(data) + offset);
    default:
      return function(static_cast<const float*>(data) + offset);
  }
}

template <class Function>
HWY_INLINE auto
with_type(FloatType type, void* data, int64_t offset, Function function) {
  switch (type) {
    case FloatType::bf16:
      return function(static_cast<hwy::bfloat16_t*>(data) + offset);
    case FloatType::f16:
      return function(static_cast<hwy::float16_t*>(data) + offset);
    default:
      return function(static_cast<float*>(data) + offset);
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
