// What follows a matrix product, for Highway kernels: bias, activation, store.
#if defined(MLX_AUDIO_KERNELS_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_EPILOGUE_INL_H_
#undef MLX_AUDIO_KERNELS_EPILOGUE_INL_H_
#else
#define MLX_AUDIO_KERNELS_EPILOGUE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <hwy/highway.h>

#include "kernels/activation.h"
#include "kernels/convert-inl.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V>
HWY_INLINE V activated(D d, V v, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return math::relu(d, v);
    case Activation::gelu:
      return math::gelu(d, v);
    case Activation::gelu_tanh:
      return math::gelu_tanh(d, v);
    case Activation::silu:
      return math::silu(d, v);
    default:
      return v;
  }
}

/// y[i] = act(from[i] + bias[i]) for i in [0, count); bias may be null and y
/// may be `from`.
template <class T>
void finish_row(
    const float* from,
    const float* bias,
    Activation activation,
    T* y,
    int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto v = hn::LoadU(d, from + i);
    if (bias != nullptr) {
      v = hn::Add(v, hn::LoadU(d, bias + i));
    }
    store_f32(d, activated(d, v, activation), y + i);
  }
  if (i < count) {
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
    T narrow[HWY_MAX_BYTES / sizeof(float)];
    for (int64_t j = i; j < count; ++j) {
      tail[j - i] = from[j] + (bias != nullptr ? bias[j] : 0.0f);
    }
    store_f32(d, activated(d, hn::Load(d, tail), activation), narrow);
    std::memcpy(y + i, narrow, (count - i) * sizeof(T));
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
