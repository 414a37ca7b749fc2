// Row functions of MossFormer's layers, for Highway kernels.
#if defined(MLX_AUDIO_KERNELS_MOSSFORMER_ROWS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_MOSSFORMER_ROWS_INL_H_
#undef MLX_AUDIO_KERNELS_MOSSFORMER_ROWS_INL_H_
#else
#define MLX_AUDIO_KERNELS_MOSSFORMER_ROWS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Calls f(d, i) for vectors at i, then with one-lane vectors for the rest.
template <class Function>
HWY_INLINE void lanes(int64_t count, Function f) {
  const hn::ScalableTag<float> d;
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + step <= count; i += step) {
    f(d, i);
  }
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) {
    f(one, i);
  }
}

template <class Function>
HWY_INLINE float sum_of(int64_t count, Function f) {
  const hn::ScalableTag<float> d;
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  auto sums = hn::Zero(d);
  int64_t i = 0;
  for (; i + step <= count; i += step) {
    sums = hn::Add(sums, f(d, i));
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) {
    sum += hn::GetLane(f(one, i));
  }
  return sum;
}

inline float sum_of_squares(const float* x, int64_t count) {
  return sum_of(count, [x](auto d, int64_t i) HWY_ATTR {
    auto v = hn::LoadU(d, x + i);
    return hn::Mul(v, v);
  });
}

inline void scale(const float* x, float factor, float* y, int64_t count) {
  lanes(count, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, y + i);
  });
}

inline float scale_norm_factor(float square, int64_t dim, float eps) {
  return 1 / std::max(std::sqrt(square / static_cast<float>(dim)), eps);
}

// `early` is the row before, or null at the start.
inline void shift_scale_norm_row(
    const float* early,
    const float* x,
    float* y,
    int64_t dim,
    float eps) {
  int64_t half = dim / 2;
  float square = sum_of_squares(x + half, half);
  square += early == nullptr ? 0 : sum_of_squares(early, half);
  float factor = scale_norm_factor(square, dim, eps);
  if (early == nullptr) {
    std::fill(y, y + half, 0.0f);
  } else {
    scale(early, factor, y, half);
  }
  scale(x + half, factor, y + half, half);
}

struct Moments {
  float mean;
  float scale; // 1 / standard deviation
};

inline Moments moments(const float* x, int64_t dim, float eps) {
  float mean =
      sum_of(
          dim,
          [x](auto d, int64_t i) HWY_ATTR { return hn::LoadU(d, x + i); }) /
      static_cast<float>(dim);
  float square = sum_of(dim, [=](auto d, int64_t i) HWY_ATTR {
    auto v = hn::Sub(hn::LoadU(d, x + i), hn::Set(d, mean));
    return hn::Mul(v, v);
  });
  return {mean, 1 / std::sqrt(square / static_cast<float>(dim) + eps)};
}

inline void prelu_layer_norm_row(
    const float* x,
    float slope,
    const float* weight,
    const float* bias,
    float* normed,
    float* again,
    int64_t dim,
    float eps) {
  lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
    auto v = hn::LoadU(d, x + i);
    auto negative = hn::Mul(v, hn::Set(d, slope));
    hn::StoreU(
        hn::IfThenElse(hn::Lt(v, hn::Zero(d)), negative, v), d, normed + i);
  });
  auto m = moments(normed, dim, eps);
  lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
    auto v = hn::Mul(
        hn::Sub(hn::LoadU(d, normed + i), hn::Set(d, m.mean)),
        hn::Set(d, m.scale));
    hn::StoreU(
        hn::MulAdd(v, hn::LoadU(d, weight + i), hn::LoadU(d, bias + i)),
        d,
        normed + i);
  });
  m = moments(normed, dim, eps);
  lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(
        hn::Mul(
            hn::Sub(hn::LoadU(d, normed + i), hn::Set(d, m.mean)),
            hn::Set(d, m.scale)),
        d,
        again + i);
  });
}

// The four views of a row s, each with `stride` floats to the next.
inline void views_row(
    const float* s, // [dim]
    const float* gamma, // [4, dim]
    const float* beta,
    const float* rotary, // [2 pairs]
    int64_t pairs,
    int64_t dim,
    float* views,
    int64_t stride) {
  for (int view = 0; view < 4; ++view) {
    const float* g = gamma + view * dim;
    const float* b = beta + view * dim;
    float* y = views + view * stride;
    lanes(dim, [=](auto d, int64_t i) HWY_ATTR {
      hn::StoreU(
          hn::MulAdd(
              hn::LoadU(d, s + i), hn::LoadU(d, g + i), hn::LoadU(d, b + i)),
          d,
          y + i);
    });
    for (int64_t p = 0; p < pairs; ++p) {
      float c = rotary[p];
      float r = rotary[pairs + p];
      float even = y[2 * p];
      float odd = y[2 * p + 1];
      y[2 * p] = even * c - odd * r;
      y[2 * p + 1] = odd * c + even * r;
    }
  }
}

inline void squared_relu(float* x, int64_t count) {
  lanes(count, [x](auto d, int64_t i) HWY_ATTR {
    auto v = math::relu(d, hn::LoadU(d, x + i));
    hn::StoreU(hn::Mul(v, v), d, x + i);
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
