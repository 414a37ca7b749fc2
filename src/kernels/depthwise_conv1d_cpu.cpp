#include "kernels/depthwise_conv1d_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise_conv1d_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// kRows outputs of one vector of channels from time t. Unless `kInside`, taps
// that reach beyond the signal are left out.
template <int kRows, bool kInside, class D>
HWY_INLINE void
outputs(D d, const DepthwiseArguments& a, int64_t t, int64_t c) {
  const int64_t stride = a.channels;
  const int half = a.kernel / 2;
  const float* HWY_RESTRICT x = a.x + t * stride + c;
  hn::Vec<D> sum[kRows];
  for (int j = 0; j < kRows; ++j) {
    sum[j] = hn::LoadU(d, x + j * stride);
  }
  if (a.residual != nullptr) {
    const float* HWY_RESTRICT residual = a.residual + t * stride + c;
    for (int j = 0; j < kRows; ++j) {
      sum[j] = hn::Add(sum[j], hn::LoadU(d, residual + j * stride));
    }
  }
  const float* HWY_RESTRICT weight = a.weight + c;
  const float* HWY_RESTRICT row = x - half * stride;
  for (int k = 0; k < a.kernel; ++k, row += stride, weight += stride) {
    const auto w = hn::LoadU(d, weight);
    for (int j = 0; j < kRows; ++j) {
      const int64_t at = t + j + k - half;
      if (kInside || (at >= 0 && at < a.time)) {
        sum[j] = hn::MulAdd(w, hn::LoadU(d, row + j * stride), sum[j]);
      }
    }
  }
  for (int j = 0; j < kRows; ++j) {
    hn::StoreU(sum[j], d, a.y + (t + j) * stride + c);
  }
}

template <int kRows, bool kInside>
void rows(const DepthwiseArguments& a, int64_t t) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + lanes <= a.channels; c += lanes) {
    outputs<kRows, kInside>(d, a, t, c);
  }
  const hn::CappedTag<float, 1> one;
  for (; c < a.channels; ++c) {
    outputs<kRows, kInside>(one, a, t, c);
  }
}

void depthwise_rows(const DepthwiseArguments& a, int64_t begin, int64_t end) {
  constexpr int kRows = 8;
  const int half = a.kernel / 2;
  int64_t t = begin;
  for (; t + kRows <= end; t += kRows) {
    if (t >= half && t + kRows + half <= a.time) {
      rows<kRows, true>(a, t);
    } else {
      rows<kRows, false>(a, t);
    }
  }
  for (; t < end; ++t) {
    rows<1, false>(a, t);
  }
}

void gate_and_normalize_row(
    float* y,
    const float* v,
    const float* input,
    int64_t channels,
    float eps) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sums = hn::Zero(d);
  float sum = 0;
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) {
    auto r = hn::MulAdd(
        hn::LoadU(d, y + c), hn::LoadU(d, v + c), hn::LoadU(d, input + c));
    hn::StoreU(r, d, y + c);
    sums = hn::Add(sums, r);
  }
  for (; c < channels; ++c) {
    y[c] = y[c] * v[c] + input[c];
    sum += y[c];
  }
  const float mean = (sum + hn::GetLane(hn::SumOfLanes(d, sums))) /
      static_cast<float>(channels);
  const auto means = hn::Set(d, mean);
  auto squares = hn::Zero(d);
  float square = 0;
  for (c = 0; c + lanes <= channels; c += lanes) {
    auto r = hn::Sub(hn::LoadU(d, y + c), means);
    squares = hn::MulAdd(r, r, squares);
  }
  for (; c < channels; ++c) {
    square += (y[c] - mean) * (y[c] - mean);
  }
  const float variance = (square + hn::GetLane(hn::SumOfLanes(d, squares))) /
      static_cast<float>(channels);
  const float scale = 1 / std::sqrt(variance + eps);
  for (c = 0; c + lanes <= channels; c += lanes) {
    auto r = hn::Sub(hn::LoadU(d, y + c), means);
    hn::StoreU(hn::Mul(r, hn::Set(d, scale)), d, y + c);
  }
  for (; c < channels; ++c) {
    y[c] = (y[c] - mean) * scale;
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(depthwise_rows);
HWY_EXPORT(gate_and_normalize_row);

void depthwise_residual_conv1d_cpu(const DepthwiseArguments& a) {
  // Rows of a block stay in the second-level cache while all channels pass.
  constexpr int kBlock = 64;
#pragma omp parallel for schedule(static)
  for (int t = 0; t < a.time; t += kBlock) {
    HWY_DYNAMIC_DISPATCH(depthwise_rows)(a, t, std::min(t + kBlock, a.time));
  }
}

void gate_and_normalize_cpu(
    float* y,
    const float* v,
    const float* input,
    int time,
    int channels,
    float eps) {
#pragma omp parallel for schedule(static)
  for (int t = 0; t < time; ++t) {
    auto at = static_cast<int64_t>(t) * channels;
    HWY_DYNAMIC_DISPATCH(gate_and_normalize_row)(
        y + at, v + at, input + at, channels, eps);
  }
}

} // namespace mlx_audio::kernels
#endif
