#include "kernels/kv_cache_cpu.h"

#include <algorithm>
#include <cstddef>

#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kv_cache_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Float = hn::ScalableTag<float>;
using FloatVec = hn::Vec<Float>;

HWY_INLINE FloatVec load(Float d, const float* p) {
  return hn::LoadU(d, p);
}

HWY_INLINE FloatVec load(Float d, const hwy::float16_t* p) {
  const hn::Rebind<hwy::float16_t, Float> half;
  return hn::PromoteTo(d, hn::LoadU(half, p));
}

HWY_INLINE float widen(float x) {
  return x;
}

HWY_INLINE float widen(hwy::float16_t x) {
  const hn::CappedTag<float, 1> one;
  const hn::Rebind<hwy::float16_t, decltype(one)> half;
  return hn::GetLane(hn::PromoteTo(one, hn::LoadU(half, &x)));
}

HWY_INLINE float dot(const float* a, const float* b, size_t n) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  FloatVec sum = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    sum = hn::MulAdd(hn::LoadU(d, a + i), hn::LoadU(d, b + i), sum);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) {
    total += a[i] * b[i];
  }
  return total;
}

/// y += weight x
template <class T>
HWY_INLINE void add_scaled(float weight, const T* x, float* y, size_t n) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  const FloatVec w = hn::Set(d, weight);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::MulAdd(w, load(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  }
  for (; i < n; ++i) {
    y[i] += weight * widen(x[i]);
  }
}

/// Scores become weights that sum to 1.
HWY_INLINE void softmax(float* scores, size_t n) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  float top = scores[0];
  size_t i = 0;
  if (n >= lanes) {
    FloatVec best = hn::LoadU(d, scores);
    for (; i + lanes <= n; i += lanes) {
      best = hn::Max(best, hn::LoadU(d, scores + i));
    }
    top = hn::GetLane(hn::MaxOfLanes(d, best));
  }
  for (; i < n; ++i) {
    top = std::max(top, scores[i]);
  }
  const FloatVec shift = hn::Set(d, top);
  FloatVec sums = hn::Zero(d);
  float total = 0;
  for (i = 0; i + lanes <= n; i += lanes) {
    const auto e = math::exp(d, hn::Sub(hn::LoadU(d, scores + i), shift));
    hn::StoreU(e, d, scores + i);
    sums = hn::Add(sums, e);
  }
  for (; i < n; ++i) {
    const auto e = math::exp(d, hn::Set(d, scores[i] - top));
    scores[i] = hn::GetLane(e);
    total += scores[i];
  }
  total += hn::GetLane(hn::SumOfLanes(d, sums));
  const FloatVec scale = hn::Set(d, 1.0f / total);
  for (i = 0; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + i), scale), d, scores + i);
  }
  for (; i < n; ++i) {
    scores[i] /= total;
  }
}

void self_attention_head(
    const float* qkv,
    float* keys,
    float* values,
    const int* holder,
    const CacheShape& s,
    float scale,
    int64_t item,
    float* weights,
    float* out) {
  const auto heads = static_cast<size_t>(s.heads);
  const auto dim = static_cast<size_t>(s.dim);
  const auto steps = static_cast<size_t>(s.steps);
  const auto length = static_cast<size_t>(s.length);
  const auto capacity = static_cast<size_t>(s.capacity);
  const size_t width = heads * dim;
  const size_t row = static_cast<size_t>(item) / heads;
  const size_t head = static_cast<size_t>(item) % heads;
  const float* mine = qkv + row * steps * 3 * width + head * dim;
  const size_t own = (row * heads + head) * capacity;
  for (size_t t = 0; t < steps; ++t) {
    const float* x = mine + t * 3 * width;
    const size_t to = (own + length + t) * dim;
    std::copy_n(x + width, dim, keys + to);
    std::copy_n(x + 2 * width, dim, values + to);
  }
  const auto at = [&](size_t position) {
    const auto in = static_cast<size_t>(holder[position]);
    return ((in * heads + head) * capacity + position) * dim;
  };
  for (size_t t = 0; t < steps; ++t) {
    const float* q = mine + t * 3 * width;
    const size_t seen = length + t + 1;
    for (size_t p = 0; p < seen; ++p) {
      weights[p] = scale * dot(q, keys + at(p), dim);
    }
    softmax(weights, seen);
    float* y = out + (row * steps + t) * width + head * dim;
    std::fill_n(y, dim, 0.0f);
    for (size_t p = 0; p < seen; ++p) {
      add_scaled(weights[p], values + at(p), y, dim);
    }
  }
}

/// scores[q][0..length) of `count` queries, for keys [dim, length].
template <class T, int count>
HWY_INLINE void score(
    const float* const* q,
    const T* keys,
    size_t dim,
    size_t length,
    float scale,
    float* scores) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  const FloatVec factor = hn::Set(d, scale);
  size_t i = 0;
  for (; i + 4 * lanes <= length; i += 4 * lanes) {
    FloatVec sums[count][4];
    for (auto& sum : sums) {
      sum[0] = sum[1] = sum[2] = sum[3] = hn::Zero(d);
    }
    for (size_t j = 0; j < dim; ++j) {
      const T* k = keys + j * length + i;
      const FloatVec k0 = load(d, k);
      const FloatVec k1 = load(d, k + lanes);
      const FloatVec k2 = load(d, k + 2 * lanes);
      const FloatVec k3 = load(d, k + 3 * lanes);
      for (int n = 0; n < count; ++n) {
        const FloatVec x = hn::Set(d, q[n][j]);
        sums[n][0] = hn::MulAdd(x, k0, sums[n][0]);
        sums[n][1] = hn::MulAdd(x, k1, sums[n][1]);
        sums[n][2] = hn::MulAdd(x, k2, sums[n][2]);
        sums[n][3] = hn::MulAdd(x, k3, sums[n][3]);
      }
    }
    for (size_t n = 0; n < count; ++n) {
      for (size_t v = 0; v < 4; ++v) {
        hn::StoreU(
            hn::Mul(sums[n][v], factor),
            d,
            scores + n * length + i + v * lanes);
      }
    }
  }
  for (; i < length; ++i) {
    for (size_t n = 0; n < count; ++n) {
      float sum = 0;
      for (size_t j = 0; j < dim; ++j) {
        sum += q[n][j] * widen(keys[j * length + i]);
      }
      scores[n * length + i] = scale * sum;
    }
  }
}

/// y[q] = sum of weights[q] x values [length, dim], `block` vectors of dim at a
/// time.
template <class T, int count, int block>
HWY_INLINE void mix(
    const float* weights,
    const T* values,
    size_t dim,
    size_t length,
    float* const* y) {
  const Float d;
  const size_t lanes = hn::Lanes(d);
  size_t j = 0;
  for (; j + block * lanes <= dim; j += block * lanes) {
    FloatVec sums[count][block];
    for (auto& sum : sums) {
      for (auto& v : sum) {
        v = hn::Zero(d);
      }
    }
    for (size_t i = 0; i < length; ++i) {
      const T* row = values + i * dim + j;
      FloatVec v[block];
      for (size_t b = 0; b < block; ++b) {
        v[b] = load(d, row + b * lanes);
      }
      for (size_t n = 0; n < count; ++n) {
        const FloatVec w = hn::Set(d, weights[n * length + i]);
        for (size_t b = 0; b < block; ++b) {
          sums[n][b] = hn::MulAdd(w, v[b], sums[n][b]);
        }
      }
    }
    for (size_t n = 0; n < count; ++n) {
      for (size_t b = 0; b < block; ++b) {
        hn::StoreU(sums[n][b], d, y[n] + j + b * lanes);
      }
    }
  }
  for (; j < dim; ++j) {
    for (size_t n = 0; n < count; ++n) {
      float sum = 0;
      for (size_t i = 0; i < length; ++i) {
        sum += weights[n * length + i] * widen(values[i * dim + j]);
      }
      y[n][j] = sum;
    }
  }
}

template <class T>
void cross(
    const float* q,
    const T* keys,
    const T* values,
    const std::vector<int>& elements,
    const CrossShape& s,
    float scale,
    float* out) {
  const auto heads = static_cast<size_t>(s.heads);
  const auto dim = static_cast<size_t>(s.dim);
  const auto queries = static_cast<size_t>(s.queries);
  const auto length = static_cast<size_t>(s.length);
  const size_t width = heads * dim;
  const auto tasks = static_cast<int>(elements.size() * heads);
#pragma omp parallel for schedule(static)
  for (int task = 0; task < tasks; ++task) {
    const auto at = static_cast<size_t>(task);
    const size_t element = at / heads;
    const size_t head = at % heads;
    const size_t memory =
        (static_cast<size_t>(elements[element]) * heads + head) * length * dim;
    const T* k = keys + memory;
    const T* v = values + memory;
    std::vector<float> weights(3 * length);
    // Three queries at once fill the registers of AVX2.
    for (size_t n = 0; n < queries;) {
      const float* from[3];
      float* to[3];
      const size_t some = std::min<size_t>(3, queries - n);
      for (size_t i = 0; i < some; ++i) {
        const size_t offset = (element * queries + n + i) * width + head * dim;
        from[i] = q + offset;
        to[i] = out + offset;
      }
      if (some == 1) {
        score<T, 1>(from, k, dim, length, scale, weights.data());
      } else if (some == 2) {
        score<T, 2>(from, k, dim, length, scale, weights.data());
      } else {
        score<T, 3>(from, k, dim, length, scale, weights.data());
      }
      for (size_t i = 0; i < some; ++i) {
        softmax(weights.data() + i * length, length);
      }
      if (some == 1) {
        mix<T, 1, 8>(weights.data(), v, dim, length, to);
      } else if (some == 2) {
        mix<T, 2, 4>(weights.data(), v, dim, length, to);
      } else {
        mix<T, 3, 4>(weights.data(), v, dim, length, to);
      }
      n += some;
    }
  }
}

void cross_attention(
    const float* q,
    const void* keys,
    const void* values,
    const std::vector<int>& elements,
    const CrossShape& s,
    float scale,
    float* out) {
  if (s.half) {
    cross(
        q,
        static_cast<const hwy::float16_t*>(keys),
        static_cast<const hwy::float16_t*>(values),
        elements,
        s,
        scale,
        out);
  } else {
    cross(
        q,
        static_cast<const float*>(keys),
        static_cast<const float*>(values),
        elements,
        s,
        scale,
        out);
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(self_attention_head);
HWY_EXPORT(cross_attention);

void self_attention_head(
    const float* qkv,
    float* keys,
    float* values,
    const std::vector<std::vector<int>>& holders,
    const CacheShape& shape,
    float scale,
    int64_t item,
    float* out) {
  static thread_local Scratch scratch;
  const auto row = static_cast<size_t>(item / shape.heads);
  HWY_DYNAMIC_DISPATCH(self_attention_head)
  (qkv,
   keys,
   values,
   holders[row].data(),
   shape,
   scale,
   item,
   scratch.floats(shape.length + shape.steps),
   out);
}

void self_attention_cpu(
    const float* qkv,
    float* keys,
    float* values,
    const std::vector<std::vector<int>>& holders,
    const CacheShape& s,
    float scale,
    float* out) {
  const int64_t items = static_cast<int64_t>(s.rows) * s.heads;
  // A piece of work should outlast waking a thread.
  const int64_t work =
      static_cast<int64_t>(s.steps) * (s.length + s.steps) * s.dim;
  parallel_for(items, std::max<int64_t>(50'000 / work, 1), [&](int64_t item) {
    self_attention_head(qkv, keys, values, holders, s, scale, item, out);
  });
}

void cross_attention_cpu(
    const float* q,
    const void* keys,
    const void* values,
    const std::vector<int>& elements,
    const CrossShape& shape,
    float scale,
    float* out) {
  HWY_DYNAMIC_DISPATCH(cross_attention)
  (q, keys, values, elements, shape, scale, out);
}

} // namespace mlx_audio::kernels
#endif
