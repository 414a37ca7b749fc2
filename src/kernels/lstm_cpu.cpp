#include "kernels/lstm_cpu.h"

#include <algorithm>
#include <vector>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lstm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

// y[r] = base[r] + weight[r] . h for four rows at a time: each load of h serves
// four multiply-adds.
void add_product(
    const float* weight,
    const float* h,
    const float* base,
    float* y,
    int rows, // a multiple of 4
    int hidden) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int r = 0; r < rows; r += 4) {
    const float* w = weight + static_cast<size_t>(r) * hidden;
    V sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    int k = 0;
    for (; k + lanes <= hidden; k += lanes) {
      V v = hn::LoadU(d, h + k);
      for (int i = 0; i < 4; ++i) {
        sum[i] = hn::MulAdd(
            v, hn::LoadU(d, w + static_cast<size_t>(i) * hidden + k), sum[i]);
      }
    }
    for (int i = 0; i < 4; ++i) {
      float total = hn::GetLane(hn::SumOfLanes(d, sum[i]));
      for (int j = k; j < hidden; ++j) {
        total += h[j] * w[static_cast<size_t>(i) * hidden + j];
      }
      y[r + i] = base[r + i] + total;
    }
  }
}

void scan(const LstmScan& s) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int n = s.hidden;
  std::vector<float> gates(4 * n + lanes);
  std::vector<float> h(n + lanes);
  std::vector<float> c(n + lanes);
  std::copy_n(s.h, n, h.begin());
  std::copy_n(s.c, n, c.begin());
  for (int i = 0; i < s.time; ++i) {
    int t = s.reverse ? s.time - 1 - i : i;
    add_product(
        s.weight,
        h.data(),
        s.gates + static_cast<size_t>(t) * 4 * n,
        gates.data(),
        4 * n,
        n);
    // The last vector may run into the next gate's values; what it writes
    // beyond `n` is never read.
    for (int k = 0; k < n; k += lanes) {
      V in = math::sigmoid(d, hn::LoadU(d, &gates[k]));
      V forget = math::sigmoid(d, hn::LoadU(d, &gates[n + k]));
      V cell = math::tanh(d, hn::LoadU(d, &gates[2 * n + k]));
      V out = math::sigmoid(d, hn::LoadU(d, &gates[3 * n + k]));
      V next = hn::MulAdd(forget, hn::LoadU(d, &c[k]), hn::Mul(in, cell));
      hn::StoreU(next, d, &c[k]);
      hn::StoreU(hn::Mul(out, math::tanh(d, next)), d, &h[k]);
    }
    std::copy_n(
        h.begin(), n, s.output + static_cast<size_t>(t) * s.output_stride);
  }
  std::copy_n(h.begin(), n, s.h);
  std::copy_n(c.begin(), n, s.c);
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(scan);

void lstm_scan(const LstmScan& s) {
  HWY_DYNAMIC_DISPATCH(scan)(s);
}

} // namespace mlx_audio::kernels
#endif
