#include "kernels/global_norm_cpu.h"

#include <cmath>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/global_norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/mossformer_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

constexpr int64_t kBlock = 32; // rows a thread takes at a time

// Sum of f(row) over all rows, each block's in f64.
template <class Function>
double sum_of_rows(int64_t rows, const Function& f) {
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(blocks), 0.0);
  parallel_for(blocks, 1, [&](int64_t b) {
    double sum = 0;
    for (int64_t r = b * kBlock; r < std::min(rows, (b + 1) * kBlock); ++r) {
      sum += static_cast<double>(f(r));
    }
    sums[static_cast<size_t>(b)] = sum;
  });
  double sum = 0;
  for (double s : sums) {
    sum += s;
  }
  return sum;
}

} // namespace

void global_norm(
    const float* x,
    const float* weight,
    const float* bias,
    float eps,
    const float* skip,
    float slope,
    int64_t rows,
    int64_t dim,
    float* y) {
  const auto count = static_cast<double>(rows * dim);
  const double sum = sum_of_rows(rows, [=](int64_t r) HWY_ATTR {
    return sum_of(dim, [row = x + r * dim](auto d, int64_t i) HWY_ATTR {
      return hn::LoadU(d, row + i);
    });
  });
  const auto mean = static_cast<float>(sum / count);
  const double squares = sum_of_rows(rows, [=](int64_t r) HWY_ATTR {
    return sum_of(dim, [row = x + r * dim, mean](auto d, int64_t i) HWY_ATTR {
      const auto v = hn::Sub(hn::LoadU(d, row + i), hn::Set(d, mean));
      return hn::Mul(v, v);
    });
  });
  const auto factor = static_cast<float>(
      1 / std::sqrt(squares / count + static_cast<double>(eps)));
  parallel_for(rows, kBlock, [=](int64_t r) HWY_ATTR {
    const float* from = x + r * dim;
    const float* other = skip == nullptr ? nullptr : skip + r * dim;
    float* to = y + r * dim;
    lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
      const auto centred = hn::Sub(hn::LoadU(d, from + i), hn::Set(d, mean));
      auto v = hn::MulAdd(
          hn::Mul(centred, hn::Set(d, factor)),
          hn::LoadU(d, weight + i),
          hn::LoadU(d, bias + i));
      if (other != nullptr) {
        v = hn::Add(v, hn::LoadU(d, other + i));
        const auto negative = hn::Mul(v, hn::Set(d, slope));
        v = hn::IfThenElse(hn::Lt(v, hn::Zero(d)), negative, v);
      }
      hn::StoreU(v, d, to + i);
    });
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(global_norm);

void global_norm_cpu(
    const float* x,
    const float* weight,
    const float* bias,
    float eps,
    const float* skip,
    float slope,
    int64_t rows,
    int64_t dim,
    float* y) {
  HWY_DYNAMIC_DISPATCH(global_norm)
  (x, weight, bias, eps, skip, slope, rows, dim, y);
}

} // namespace mlx_audio::kernels
#endif
