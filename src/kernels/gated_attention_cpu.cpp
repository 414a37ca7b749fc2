#include "kernels/gated_attention_cpu.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <oneapi/dnnl/dnnl.h>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated_attention_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/mossformer_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Row t's views, each into its own [time, dim] array.
void views_at(const GatedAttentionArguments& a, float* views, int64_t t) {
  views_row(
      a.hidden + t * (2 * a.value_dim + a.dim) + 2 * a.value_dim,
      a.gamma,
      a.beta,
      a.rotary + t * 2 * a.pairs,
      a.pairs,
      a.dim,
      views + t * a.dim,
      static_cast<int64_t>(a.time) * a.dim);
}

// attended: att(v) | att(u); values: v | u.
void gate_row(
    const float* attended,
    const float* values,
    float* out,
    int64_t dim,
    float eps) {
  float square = sum_of(dim, [=](auto d, int64_t i) HWY_ATTR {
    auto v = hn::LoadU(d, values + i);
    auto u = hn::LoadU(d, values + dim + i);
    auto gate = math::sigmoid(d, hn::Mul(hn::LoadU(d, attended + i), u));
    auto y = hn::Mul(hn::Mul(hn::LoadU(d, attended + dim + i), v), gate);
    hn::StoreU(y, d, out + i);
    return hn::Mul(y, y);
  });
  scale(out, scale_norm_factor(square, dim, eps), out, dim);
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(shift_scale_norm_row);
HWY_EXPORT(prelu_layer_norm_row);
HWY_EXPORT(views_at);
HWY_EXPORT(squared_relu);
HWY_EXPORT(gate_row);

void shift_scale_norm_cpu(
    const float* x,
    float* y,
    int time,
    int dim,
    float eps) {
#pragma omp parallel for schedule(static)
  for (int t = 0; t < time; ++t) {
    const float* row = x + static_cast<int64_t>(t) * dim;
    HWY_DYNAMIC_DISPATCH(shift_scale_norm_row)(
        t == 0 ? nullptr : row - dim,
        row,
        y + static_cast<int64_t>(t) * dim,
        dim,
        eps);
  }
}

void prelu_layer_norm_cpu(
    const float* x,
    float slope,
    const float* weight,
    const float* bias,
    float* normed,
    float* again,
    int time,
    int dim,
    float eps) {
#pragma omp parallel for schedule(static)
  for (int t = 0; t < time; ++t) {
    auto at = static_cast<int64_t>(t) * dim;
    HWY_DYNAMIC_DISPATCH(prelu_layer_norm_row)(
        x + at, slope, weight, bias, normed + at, again + at, dim, eps);
  }
}

void gated_attention_cpu(const GatedAttentionArguments& a) {
  const int64_t d = a.dim;
  const int64_t e = a.value_dim;
  const int64_t width = 2 * e + d; // of a row of hidden
  const int64_t size = a.time * d;
  const int64_t group = std::min(a.group, a.time);
  std::vector<float> scratch(
      static_cast<size_t>(4 * size + d * 2 * e + group * (group + 2 * e)));
  float* views = scratch.data(); // quadratic and linear q, then both k
  float* summary = views + 4 * size; // [d, 2 e]
  float* scores = summary + d * 2 * e; // [group, group]
  float* attended = scores + group * group; // [group, 2 e]
#pragma omp parallel for schedule(static)
  for (int t = 0; t < a.time; ++t) {
    HWY_DYNAMIC_DISPATCH(views_at)(a, views, t);
  }
  const float* quad_q = views;
  const float* lin_q = views + size;
  const float* quad_k = views + 2 * size;
  const float* lin_k = views + 3 * size;
  const float per_time = 1.0f / static_cast<float>(a.time);
  const float per_group = 1.0f / static_cast<float>(a.group);
  dnnl_sgemm(
      'T',
      'N',
      d,
      2 * e,
      a.time,
      per_time,
      lin_k,
      d,
      a.hidden,
      width,
      0,
      summary,
      2 * e);
  for (int64_t t = 0; t < a.time; t += group) {
    const int64_t n = std::min<int64_t>(group, a.time - t);
    const float* values = a.hidden + t * width;
    dnnl_sgemm(
        'N',
        'T',
        n,
        n,
        d,
        per_group,
        quad_q + t * d,
        d,
        quad_k + t * d,
        d,
        0,
        scores,
        n);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      HWY_DYNAMIC_DISPATCH(squared_relu)(scores + i * n, n);
    }
    dnnl_sgemm(
        'N', 'N', n, 2 * e, n, 1, scores, n, values, width, 0, attended, 2 * e);
    dnnl_sgemm(
        'N',
        'N',
        n,
        2 * e,
        d,
        1,
        lin_q + t * d,
        d,
        summary,
        2 * e,
        1,
        attended,
        2 * e);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      HWY_DYNAMIC_DISPATCH(gate_row)(
          attended + i * 2 * e,
          values + i * width,
          a.out + (t + i) * e,
          e,
          a.eps);
    }
  }
}

} // namespace mlx_audio::kernels
#endif
