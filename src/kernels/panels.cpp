#include "kernels/panels.h"

#include <cstdlib>
#include <cstring>

#include "kernels/aligned.h"
#include "kernels/float_type.h"
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

// Pairs are made for 16 lanes.
bool wide_vectors() {
  return hwy::HWY_NAMESPACE::Lanes(hwy::HWY_NAMESPACE::ScalableTag<float>()) ==
      16;
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(panel_width);
HWY_EXPORT(to_halves);
HWY_EXPORT(wide_vectors);

bool has_bf16_pairs() {
#if HWY_ARCH_X86
  static const bool has = [] {
    const char* value = std::getenv("MLX_AUDIO_BF16");
    return __builtin_cpu_supports("avx512bf16") != 0 &&
        (value == nullptr || std::strcmp(value, "0") != 0);
  }();
  return has && HWY_DYNAMIC_DISPATCH(wide_vectors)();
#else
  return false;
#endif
}

int panel_width() {
  return HWY_DYNAMIC_DISPATCH(panel_width)();
}

Panels::Panels(int count, int depth, int out, PanelType type)
    : depth_(depth), width_(panel_width()), type_(type) {
  padded_out_ = (out + width_ - 1) / width_ * width_;
  size_t size = count * matrix_stride();
  switch (type) {
    case PanelType::f32:
      floats_ = allocate_aligned<float>(size);
      break;
    case PanelType::f16:
      halves_ = allocate_aligned<uint16_t>(size);
      break;
    case PanelType::bf16_pairs:
      pairs_ = allocate_aligned<uint32_t>(size);
      break;
  }
}

void Panels::set(int matrix, int panel, const float* rows) {
  size_t size = static_cast<size_t>(depth_) * width_;
  size_t at = matrix * matrix_stride() + panel * size;
  if (type_ == PanelType::f16) {
    HWY_DYNAMIC_DISPATCH(to_halves)(rows, halves_.get() + at, size);
  } else {
    std::memcpy(floats_.get() + at, rows, size * sizeof(float));
  }
}

void Panels::set_pairs(
    int matrix,
    int panel,
    const float* low,
    const float* high,
    size_t row_stride) {
  uint32_t* to = pairs_.get() + matrix * matrix_stride() +
      static_cast<size_t>(panel) * depth_ * width_;
  for (int d = 0; d < depth_; ++d) {
    for (int c = 0; c < width_; ++c) {
      to[d * width_ + c] = bf16_bits(low[d * row_stride + c]) |
          bf16_bits(high[d * row_stride + c]) << 16;
    }
  }
}

} // namespace mlx_audio::kernels
#endif
