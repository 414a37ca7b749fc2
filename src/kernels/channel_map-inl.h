// ChannelMap for kernels written with Highway. Included once per instruction
// set: see simd.h.
#if defined(MLX_AUDIO_KERNELS_CHANNEL_MAP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_CHANNEL_MAP_INL_H_
#undef MLX_AUDIO_KERNELS_CHANNEL_MAP_INL_H_
#else
#define MLX_AUDIO_KERNELS_CHANNEL_MAP_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/channel_map.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The map of one vector `v` of channels from `c` on.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V map_channels(D d, V v, size_t c, const ChannelMap& map) {
  if (map.affine) {
    v = hn::MulAdd(
        v,
        hn::LoadU(d, map.scale.data() + c),
        hn::LoadU(d, map.shift.data() + c));
  }
  if (map.snake) {
    V a = hn::LoadU(d, map.alpha.data() + c);
    return hn::MulAdd(
        math::sin_squared(d, hn::Mul(a, v)),
        hn::LoadU(d, map.amplitude.data() + c),
        v);
  }
  return hn::IfThenElse(
      hn::Lt(v, hn::Zero(d)), hn::Mul(v, hn::Set(d, map.slope)), v);
}

/// y = map(x) over one row; neither needs room beyond its channels.
HWY_INLINE void
map_row(const float* x, float* y, size_t channels, const ChannelMap& map) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t c = 0;
  for (; c + lanes <= channels; c += lanes) {
    hn::StoreU(map_channels(d, hn::LoadU(d, x + c), c, map), d, y + c);
  }
  if (c < channels) {
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
    for (size_t i = c; i < channels; ++i) {
      tail[i - c] = x[i];
    }
    hn::Store(map_channels(d, hn::Load(d, tail), c, map), d, tail);
    for (size_t i = c; i < channels; ++i) {
      y[i] = tail[i - c];
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
