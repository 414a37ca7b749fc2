#include "kernels/decoder_step_cpu.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/decoder_step_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

namespace {

float dot(const float* a, const float* b, int count) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  V s0 = hn::Zero(d);
  V s1 = hn::Zero(d);
  int i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    s0 = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), s0);
    s1 = hn::MulAdd(
        hn::LoadU(d, a + i + lanes), hn::LoadU(d, b + i + lanes), s1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(s0, s1)));
  for (; i < count; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

// y += a x
void axpy(float a, const float* x, float* y, int count) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const V va = hn::Set(d, a);
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(
        hn::MulAdd(va, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  }
  for (; i < count; ++i) {
    y[i] += a * x[i];
  }
}

} // namespace

void rms_norm_row(
    const float* x,
    const float* weight,
    float eps,
    int count,
    float* y) {
  float scale =
      1 / std::sqrt(dot(x, x, count) / static_cast<float>(count) + eps);
  for (int i = 0; i < count; ++i) {
    y[i] = x[i] * scale * weight[i];
  }
}

// gate = silu(gate) * up
void gate_row(float* gate, const float* up, int count) {
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
    V g = math::silu(d, hn::LoadU(d, gate + i));
    hn::StoreU(hn::Mul(g, hn::LoadU(d, up + i)), d, gate + i);
  }
  for (; i < count; ++i) {
    gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  }
}

// One query over `count` positions; scores [count] is scratch.
void attend_row(
    const float* q,
    const float* keys,
    const float* values,
    int count,
    int dim,
    float scale,
    float* scores,
    float* y) {
  float best = -std::numeric_limits<float>::infinity();
  for (int t = 0; t < count; ++t) {
    scores[t] = dot(q, keys + static_cast<size_t>(t) * dim, dim) * scale;
    best = std::max(best, scores[t]);
  }
  const F d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  V sums = hn::Zero(d);
  const V vbest = hn::Set(d, best);
  int t = 0;
  for (; t + lanes <= count; t += lanes) {
    V e = math::exp(d, hn::Sub(hn::LoadU(d, scores + t), vbest));
    hn::StoreU(e, d, scores + t);
    sums = hn::Add(sums, e);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  for (; t < count; ++t) {
    scores[t] = std::exp(scores[t] - best);
    sum += scores[t];
  }
  std::fill(y, y + dim, 0.0f);
  for (t = 0; t < count; ++t) {
    axpy(scores[t] / sum, values + static_cast<size_t>(t) * dim, y, dim);
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(rms_norm_row);
HWY_EXPORT(gate_row);
HWY_EXPORT(attend_row);

namespace {

struct Step {
  const DecoderStepShape& s;
  const std::vector<DecoderStepCache>& caches;
  int steps;
  int rows; // caches x steps
  const float* cosine; // [rows, head_dim / 2]
  const float* sine;

  int position(int row) const {
    return caches[row / steps].length + row % steps;
  }

  static void product(const float* x, int m, const WeightMatrix& w, float* y) {
    GemmArgs args;
    args.x = x;
    args.m = m;
    args.w = w;
    args.y = y;
    linear_product(args);
  }

  void norm(const float* x, const float* weight, int dim, int count, float* y)
      const {
    for (int r = 0; r < count; ++r) {
      size_t at = static_cast<size_t>(r) * dim;
      HWY_DYNAMIC_DISPATCH(rms_norm_row)
      (x + at, weight, s.norm_eps, dim, y + at);
    }
  }

  // Turns pairs (i, i + dim / 2) of every head (Su et al. 2021).
  void rotate(float* x, int heads, int row) const {
    int half = s.head_dim / 2;
    const float* c = cosine + static_cast<size_t>(row) * half;
    const float* n = sine + static_cast<size_t>(row) * half;
    for (int h = 0; h < heads; ++h, x += s.head_dim) {
      for (int i = 0; i < half; ++i) {
        float a = x[i];
        float b = x[i + half];
        x[i] = a * c[i] - b * n[i];
        x[i + half] = b * c[i] + a * n[i];
      }
    }
  }

  // Norms and turns q and k, puts k and v into the caches.
  void place(
      const DecoderStepLayer& layer,
      int index,
      float* q,
      float* k,
      const float* v) const {
    if (layer.q_norm != nullptr) {
      norm(q, layer.q_norm, s.head_dim, rows * s.heads, q);
      norm(k, layer.k_norm, s.head_dim, rows * s.kv_heads, k);
    }
    size_t kv_width = static_cast<size_t>(s.kv_heads) * s.head_dim;
    for (int r = 0; r < rows; ++r) {
      rotate(q + static_cast<size_t>(r) * s.heads * s.head_dim, s.heads, r);
      rotate(k + r * kv_width, s.kv_heads, r);
      const DecoderStepCache& cache = caches[r / steps];
      for (int h = 0; h < s.kv_heads; ++h) {
        size_t from = r * kv_width + static_cast<size_t>(h) * s.head_dim;
        size_t to = (static_cast<size_t>(h) * cache.capacity + position(r)) *
            s.head_dim;
        std::copy_n(k + from, s.head_dim, cache.keys[index] + to);
        std::copy_n(v + from, s.head_dim, cache.values[index] + to);
      }
    }
  }

  void attend(int index, const float* q, float* y) const {
    int group = s.heads / s.kv_heads;
    float scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
    // Little work is not worth waking a thread.
    int64_t items = static_cast<int64_t>(rows) * s.heads;
    double work = static_cast<double>(position(rows - 1) + 1) * s.head_dim;
    auto grain = static_cast<int64_t>(65536 / work) + 1;
    parallel_for(items, grain, [&](int64_t item) {
      static thread_local Scratch scratch;
      int r = static_cast<int>(item / s.heads);
      int h = static_cast<int>(item % s.heads);
      const DecoderStepCache& cache = caches[r / steps];
      size_t base =
          static_cast<size_t>(h / group) * cache.capacity * s.head_dim;
      int count = position(r) + 1;
      HWY_DYNAMIC_DISPATCH(attend_row)
      (q + item * s.head_dim,
       cache.keys[index] + base,
       cache.values[index] + base,
       count,
       s.head_dim,
       scale,
       scratch.floats(count),
       y + item * s.head_dim);
    });
  }
};

void add(float* x, const float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    x[i] += y[i];
  }
}

} // namespace

void decoder_step_cpu(
    const DecoderStepShape& s,
    const std::vector<DecoderStepLayer>& layers,
    const float* final_norm,
    const std::vector<DecoderStepCache>& caches,
    int steps,
    const float* x,
    float* y) {
  int rows = static_cast<int>(caches.size()) * steps;
  size_t m = rows;
  size_t q_width = static_cast<size_t>(s.heads) * s.head_dim;
  size_t kv_width = static_cast<size_t>(s.kv_heads) * s.head_dim;
  int half = s.head_dim / 2;
  static thread_local Scratch scratch;
  float* h = scratch.floats(
      static_cast<int64_t>(
          m *
          (3 * s.hidden + 2 * q_width + 2 * kv_width + 2 * s.intermediate +
           2 * half)));
  float* normed = h + m * s.hidden;
  float* branch = normed + m * s.hidden;
  float* q = branch + m * s.hidden;
  float* mixed = q + m * q_width;
  float* k = mixed + m * q_width;
  float* v = k + m * kv_width;
  float* gate = v + m * kv_width;
  float* up = gate + m * s.intermediate;
  float* cosine = up + m * s.intermediate;
  float* sine = cosine + m * half;
  std::copy_n(x, m * s.hidden, h);

  Step step{s, caches, steps, rows, cosine, sine};
  for (int i = 0; i < half; ++i) {
    double frequency =
        std::pow(static_cast<double>(s.rope_theta), -2.0 * i / s.head_dim);
    for (int r = 0; r < rows; ++r) {
      double angle = step.position(r) * frequency;
      cosine[static_cast<size_t>(r) * half + i] =
          static_cast<float>(std::cos(angle));
      sine[static_cast<size_t>(r) * half + i] =
          static_cast<float>(std::sin(angle));
    }
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    const DecoderStepLayer& layer = layers[i];
    step.norm(h, layer.input_norm, s.hidden, rows, normed);
    Step::product(normed, rows, layer.q, q);
    Step::product(normed, rows, layer.k, k);
    Step::product(normed, rows, layer.v, v);
    step.place(layer, static_cast<int>(i), q, k, v);
    step.attend(static_cast<int>(i), q, mixed);
    Step::product(mixed, rows, layer.o, branch);
    add(h, branch, m * s.hidden);

    step.norm(h, layer.post_norm, s.hidden, rows, normed);
    Step::product(normed, rows, layer.gate, gate);
    Step::product(normed, rows, layer.up, up);
    for (int r = 0; r < rows; ++r) {
      size_t at = static_cast<size_t>(r) * s.intermediate;
      HWY_DYNAMIC_DISPATCH(gate_row)(gate + at, up + at, s.intermediate);
    }
    Step::product(gate, rows, layer.down, branch);
    add(h, branch, m * s.hidden);
  }
  step.norm(h, final_norm, s.hidden, rows, y);
}

} // namespace mlx_audio::kernels
#endif
