#include "kernels/panels.h"

#include <cstring>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

int panel_width() {
  return static_cast<int>(
      2 * hwy::HWY_NAMESPACE::Lanes(hwy::HWY_NAMESPACE::ScalableTag<float>()));
}

void to_halves(const float* from, uint16_t* to, size_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreU(
        hn::DemoteTo(dh, hn::LoadU(d, from + i)),
        dh,
        reinterpret_cast<hwy::float16_t*>(to + i));
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(panel_width);
HWY_EXPORT(to_halves);

int panel_width() {
  return HWY_DYNAMIC_DISPATCH(panel_width)();
}

Panels::Panels(int count, int depth, int out, bool half)
    : depth_(depth), width_(panel_width()), half_(half) {
  padded_out_ = (out + width_ - 1) / width_ * width_;
  size_t size = count * matrix_stride();
  if (half) {
    halves_ = hwy::AllocateAligned<uint16_t>(size);
  } else {
    floats_ = hwy::AllocateAligned<float>(size);
  }
}

void Panels::set(int matrix, int panel, const float* rows) {
  size_t size = static_cast<size_t>(depth_) * width_;
  size_t at = matrix * matrix_stride() + panel * size;
  if (half_) {
    HWY_DYNAMIC_DISPATCH(to_halves)(rows, halves_.get() + at, size);
  } else {
    std::memcpy(floats_.get() + at, rows, size * sizeof(float));
  }
}

} // namespace mlx_audio::kernels
#endif
