#include "kernels/row_norm_cpu.h"

#include <cmath>

#include "kernels/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/row_norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/mossformer_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void rms_norm_one(
    const float* x,
    const float* weight,
    float eps,
    int64_t dim,
    float* y) {
  float mean = sum_of_squares(x, dim) / static_cast<float>(dim);
  float factor = 1 / std::sqrt(mean + eps);
  lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
    const auto v = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor));
    hn::StoreU(hn::Mul(v, hn::LoadU(d, weight + i)), d, y + i);
  });
}

void add_scaled_one(
    const float* x,
    const float* branch,
    const float* scale,
    int64_t dim,
    float* y) {
  lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(
        hn::MulAdd(
            hn::LoadU(d, branch + i),
            hn::LoadU(d, scale + i),
            hn::LoadU(d, x + i)),
        d,
        y + i);
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(rms_norm_one);
HWY_EXPORT(add_scaled_one);

namespace {

// Rows that a thread takes at a time.
int64_t grain(int64_t dim) {
  return 16384 / dim + 1;
}

} // namespace

void rms_norm_cpu(
    const float* x,
    const float* weight,
    float eps,
    int64_t rows,
    int64_t dim,
    float* y) {
  parallel_for(rows, grain(dim), [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(rms_norm_one)
    (x + r * dim, weight, eps, dim, y + r * dim);
  });
}

void add_scaled_cpu(
    const float* x,
    const float* branch,
    const float* scale,
    int64_t rows,
    int64_t dim,
    float* y) {
  parallel_for(rows, grain(dim), [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(add_scaled_one)
    (x + r * dim, branch + r * dim, scale, dim, y + r * dim);
  });
}

} // namespace mlx_audio::kernels
#endif
