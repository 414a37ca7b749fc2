#include "kernels/pointwise.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class Function>
void each(const float* x, float* y, int64_t count, Function function) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(function(d, hn::LoadU(d, x + i)), d, y + i);
  }
  if (i < count) {
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
    std::copy(x + i, x + count, tail);
    hn::Store(function(d, hn::Load(d, tail)), d, tail);
    std::copy(tail, tail + count - i, y + i);
  }
}

void pointwise(Pointwise function, const float* x, float* y, int64_t count) {
#define MLX_AUDIO_CASE(name)                               \
  case Pointwise::name:                                    \
    return each(x, y, count, [](auto d, auto v) HWY_ATTR { \
      return math::name(d, v);                             \
    });
  switch (function) {
    MLX_AUDIO_CASE(exp)
    MLX_AUDIO_CASE(tanh)
    MLX_AUDIO_CASE(sigmoid)
    MLX_AUDIO_CASE(erf)
    MLX_AUDIO_CASE(sin)
    MLX_AUDIO_CASE(cos)
    MLX_AUDIO_CASE(sin_squared)
    MLX_AUDIO_CASE(relu)
    MLX_AUDIO_CASE(gelu)
    MLX_AUDIO_CASE(gelu_tanh)
    MLX_AUDIO_CASE(silu)
    MLX_AUDIO_CASE(silu_for_bf16)
  }
#undef MLX_AUDIO_CASE
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(pointwise);

void pointwise(Pointwise function, const float* x, float* y, int64_t count) {
  HWY_DYNAMIC_DISPATCH(pointwise)(function, x, y, count);
}

} // namespace mlx_audio::kernels
#endif
