#include "kernels/depthwise_conv1d_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise_conv1d_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/depthwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

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
