// Depthwise convolution over rows, for Highway kernels.
#if defined(MLX_AUDIO_KERNELS_DEPTHWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_DEPTHWISE_INL_H_
#undef MLX_AUDIO_KERNELS_DEPTHWISE_INL_H_
#else
#define MLX_AUDIO_KERNELS_DEPTHWISE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include <hwy/highway.h>

#include "kernels/depthwise_conv1d_cpu.h"
#include "kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Writes rows of y.
struct StoreRows {
  const DepthwiseArguments& a;

  template <class D, int kRows>
  HWY_INLINE void
  operator()(D d, int64_t t, int64_t c, const hn::Vec<D> (&sums)[kRows]) const {
    for (int j = 0; j < kRows; ++j) {
      hn::StoreU(sums[j], d, a.y + (t + j) * a.y_stride + c);
    }
  }
};

// kRows outputs of one vector of channels from time t. Unless `kInside`, taps
// that reach beyond the signal are left out.
template <int kRows, bool kInside, class D, class Sink>
HWY_INLINE void outputs(
    D d,
    const DepthwiseArguments& a,
    int64_t t,
    int64_t c,
    const Sink& sink) {
  const int64_t stride = a.x_stride;
  const int half = a.kernel / 2;
  const float* HWY_RESTRICT x = a.x + t * stride + c;
  hn::Vec<D> sum[kRows];
  for (int j = 0; j < kRows; ++j) {
    sum[j] = hn::LoadU(d, x + j * stride);
  }
  if (a.residual != nullptr) {
    const float* HWY_RESTRICT residual = a.residual + t * a.y_stride + c;
    for (int j = 0; j < kRows; ++j) {
      sum[j] = hn::Add(sum[j], hn::LoadU(d, residual + j * a.y_stride));
    }
  }
  const float* HWY_RESTRICT weight = a.weight + c;
  const float* HWY_RESTRICT row = x - half * stride;
  for (int k = 0; k < a.kernel; ++k, row += stride, weight += a.weight_stride) {
    const auto w = hn::LoadU(d, weight);
    for (int j = 0; j < kRows; ++j) {
      const int64_t at = t + j + k - half;
      if (kInside || (at >= 0 && at < a.time)) {
        sum[j] = hn::MulAdd(w, hn::LoadU(d, row + j * stride), sum[j]);
      }
    }
  }
  sink(d, t, c, sum);
}

template <int kRows, bool kInside, class Sink>
void rows(const DepthwiseArguments& a, int64_t t, const Sink& sink) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + lanes <= a.channels; c += lanes) {
    outputs<kRows, kInside>(d, a, t, c, sink);
  }
  const hn::CappedTag<float, 1> one;
  for (; c < a.channels; ++c) {
    outputs<kRows, kInside>(one, a, t, c, sink);
  }
}

/// kRows rows of y from t on.
template <int kRows, class Sink>
void some_depthwise_rows(
    const DepthwiseArguments& a,
    int64_t t,
    const Sink& sink) {
  const int half = a.kernel / 2;
  if (t >= half && t + kRows + half <= a.time) {
    rows<kRows, true>(a, t, sink);
  } else {
    rows<kRows, false>(a, t, sink);
  }
}

/// Rows [begin, end) of y.
inline void
depthwise_rows(const DepthwiseArguments& a, int64_t begin, int64_t end) {
  // Rows that lie a power of two apart would share few sets of the cache, so
  // some channels at a time are brought together.
  constexpr int64_t kWidth = 64;
  static thread_local Scratch scratch;
  const int64_t low = std::max<int64_t>(0, begin - a.kernel / 2);
  const int64_t high = std::min<int64_t>(a.time, end + a.kernel / 2);
  float* weight = scratch.floats((a.kernel + high - low) * kWidth);
  float* x = weight + a.kernel * kWidth;
  for (int64_t c = 0; c < a.channels; c += kWidth) {
    const int64_t width = std::min(kWidth, a.channels - c);
    for (int64_t k = 0; k < a.kernel; ++k) {
      const float* from = a.weight + k * a.weight_stride + c;
      std::copy(from, from + width, weight + k * kWidth);
    }
    DepthwiseArguments part = a;
    part.weight = weight;
    part.weight_stride = kWidth;
    part.channels = static_cast<int>(width);
    part.x = a.x + low * a.x_stride + c;
    part.time = static_cast<int>(high - low);
    part.residual =
        a.residual == nullptr ? nullptr : a.residual + low * a.y_stride + c;
    part.y = a.y + low * a.y_stride + c;
    if (a.x_stride > kWidth) {
      for (int64_t t = low; t < high; ++t) {
        const float* from = a.x + t * a.x_stride + c;
        std::copy(from, from + width, x + (t - low) * kWidth);
      }
      part.x = x;
      part.x_stride = kWidth;
    }
    const StoreRows store{part};
    int64_t t = begin - low;
    for (; t + 8 <= end - low; t += 8) {
      some_depthwise_rows<8>(part, t, store);
    }
    for (; t < end - low; ++t) {
      some_depthwise_rows<1>(part, t, store);
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
