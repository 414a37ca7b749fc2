#include "kernels/panels.h"

#include <cstring>

#include "kernels/simd.h"
#include "mlx/types/half_types.h"

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

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(panel_width);

int panel_width() {
  return HWY_DYNAMIC_DISPATCH(panel_width)();
}

Panels::Panels(int count, int depth, int out, bool half)
    : depth_(depth), width_(panel_width()), half_(half) {
  padded_out_ = (out + width_ - 1) / width_ * width_;
  size_t size = count * matrix_stride();
  if (half) {
    halves_ = hwy::AllocateAligned<uint16_t>(size);
    std::memset(halves_.get(), 0, size * sizeof(uint16_t));
  } else {
    floats_ = hwy::AllocateAligned<float>(size);
    std::memset(floats_.get(), 0, size * sizeof(float));
  }
}

uint16_t Panels::to_f16(float value) {
  mlx::core::float16_t f16 = value;
  uint16_t bits = 0;
  static_assert(sizeof(f16) == sizeof(bits));
  std::memcpy(&bits, &f16, sizeof(bits));
  return bits;
}

} // namespace mlx_audio::kernels
#endif
