#include "kernels/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/logits.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Float = hn::ScalableTag<float>;
using FloatVec = hn::Vec<Float>;

constexpr float kLeast = -std::numeric_limits<float>::infinity();

float maximum(std::span<const float> x) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  FloatVec tops[4];
  for (auto& top : tops) {
    top = hn::Set(d, kLeast);
  }
  size_t i = 0;
  for (; i + 4 * lanes <= x.size(); i += 4 * lanes) {
    for (size_t v = 0; v < 4; ++v) {
      tops[v] = hn::Max(tops[v], hn::LoadU(d, x.data() + i + v * lanes));
    }
  }
  const FloatVec both =
      hn::Max(hn::Max(tops[0], tops[1]), hn::Max(tops[2], tops[3]));
  float top = hn::GetLane(hn::MaxOfLanes(d, both));
  for (; i < x.size(); ++i) {
    top = std::max(top, x[i]);
  }
  return top;
}

float log_sum_exp(std::span<const float> x) {
  const float top = maximum(x);
  if (!(top > kLeast)) {
    return kLeast;
  }
  const Float d;
  const size_t lanes = hn::Lanes(d);
  const FloatVec shift = hn::Set(d, top);
  double total = 0;
  size_t i = 0;
  // Sums of f32 stay short, so that their rounding does.
  constexpr size_t block = 64;
  while (i + lanes <= x.size()) {
    FloatVec sum = hn::Zero(d);
    for (size_t n = 0; n < block && i + lanes <= x.size(); ++n, i += lanes) {
      const FloatVec v = hn::Sub(hn::LoadU(d, x.data() + i), shift);
      sum = hn::Add(sum, math::exp(d, v));
    }
    total += hn::GetLane(hn::SumOfLanes(d, sum));
  }
  for (; i < x.size(); ++i) {
    total += std::exp(x[i] - top);
  }
  return top + static_cast<float>(std::log(total));
}

// The first i >= from with x[i] > least.
size_t find_above(std::span<const float> x, size_t from, float least) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  const FloatVec bound = hn::Set(d, least);
  size_t i = from;
  for (; i + lanes <= x.size(); i += lanes) {
    const auto above = hn::Gt(hn::LoadU(d, x.data() + i), bound);
    const intptr_t first = hn::FindFirstTrue(d, above);
    if (first >= 0) {
      return i + static_cast<size_t>(first);
    }
  }
  while (i < x.size() && !(x[i] > least)) {
    ++i;
  }
  return i;
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(maximum);
HWY_EXPORT(log_sum_exp);
HWY_EXPORT(find_above);

float maximum(std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(maximum)(x);
}

int argmax(std::span<const float> x) {
  // The first above the float before the largest is the first of the largest.
  const float top = maximum(x);
  const float below =
      std::nextafter(top, -std::numeric_limits<float>::infinity());
  const size_t at = HWY_DYNAMIC_DISPATCH(find_above)(x, 0, below);
  return at < x.size() ? static_cast<int>(at) : 0;
}

float log_sum_exp(std::span<const float> x) {
  return HWY_DYNAMIC_DISPATCH(log_sum_exp)(x);
}

std::vector<std::pair<float, int>> largest(
    std::span<const float> x,
    int count) {
  std::vector<std::pair<float, int>> top; // sorted, best first
  const auto limit = static_cast<size_t>(count);
  float lowest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; limit > 0; ++i) {
    i = HWY_DYNAMIC_DISPATCH(find_above)(x, i, lowest);
    if (i >= x.size()) {
      break;
    }
    auto at = std::upper_bound(
        top.begin(), top.end(), x[i], [](float value, const auto& entry) {
          return value > entry.first;
        });
    top.insert(at, {x[i], static_cast<int>(i)});
    if (top.size() > limit) {
      top.pop_back();
    }
    if (top.size() == limit) {
      lowest = top.back().first;
    }
  }
  return top;
}

} // namespace mlx_audio::kernels
#endif
