#include "kernels/instance_norm_cpu.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/instance_norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

// Sums of x - origin and of its square over rows [begin, end), added to f64
// totals block by block. The origin (the first row) keeps the difference of the
// two from cancelling.
void sums(
    const float* x,
    int begin,
    int end,
    size_t channels,
    double* total,
    double* total_squares) {
  const F d;
  const size_t lanes = hn::Lanes(d);
  constexpr int block = 512; // rows summed in f32 before they go to f64
  std::vector<float> sum(channels);
  std::vector<float> square(channels);
  for (int from = begin; from < end; from += block) {
    int to = std::min(from + block, end);
    std::fill(sum.begin(), sum.end(), 0.0f);
    std::fill(square.begin(), square.end(), 0.0f);
    for (int t = from; t < to; ++t) {
      const float* row = x + t * channels;
      size_t c = 0;
      for (; c + lanes <= channels; c += lanes) {
        V v = hn::Sub(hn::LoadU(d, row + c), hn::LoadU(d, x + c));
        hn::StoreU(hn::Add(hn::LoadU(d, &sum[c]), v), d, &sum[c]);
        hn::StoreU(hn::MulAdd(v, v, hn::LoadU(d, &square[c])), d, &square[c]);
      }
      for (; c < channels; ++c) {
        float v = row[c] - x[c];
        sum[c] += v;
        square[c] += v * v;
      }
    }
    for (size_t c = 0; c < channels; ++c) {
      total[c] += sum[c];
      total_squares[c] += square[c];
    }
  }
}

// y = function(x * scale + shift) over rows; null scale and shift: as they are.
void apply(
    const float* x,
    float* y,
    size_t rows,
    size_t channels,
    const float* scale,
    const float* shift,
    const ChannelFunction& function,
    const float* inverse_alpha) {
  const F d;
  const size_t lanes = hn::Lanes(d);
  const V slope = hn::Set(d, function.leaky_slope);
  auto value = [&](V v, size_t c) HWY_ATTR {
    if (scale != nullptr) {
      v = hn::MulAdd(v, hn::LoadU(d, scale + c), hn::LoadU(d, shift + c));
    }
    if (function.snake_alpha != nullptr) {
      V a = hn::LoadU(d, function.snake_alpha + c);
      return hn::MulAdd(
          math::sin_squared(d, hn::Mul(a, v)),
          hn::LoadU(d, inverse_alpha + c),
          v);
    }
    return hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Mul(v, slope), v);
  };
  // scale, shift and alpha are padded to whole vectors, x and y are not.
  for (size_t t = 0; t < rows; ++t) {
    const float* from = x + t * channels;
    float* to = y + t * channels;
    size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
      hn::StoreU(value(hn::LoadU(d, from + c), c), d, to + c);
    }
    if (c < channels) {
      HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
      std::copy(from + c, from + channels, tail);
      hn::Store(value(hn::Load(d, tail), c), d, tail);
      std::copy(tail, tail + (channels - c), to + c);
    }
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

namespace {

HWY_EXPORT(sums);
HWY_EXPORT(apply);

constexpr size_t max_lanes = HWY_MAX_BYTES / sizeof(float);

// A copy with room for one vector more.
std::vector<float> padded(const float* values, size_t count) {
  std::vector<float> copy(count + max_lanes, 1.0f);
  for (size_t i = 0; i < count; ++i) { // copy_n: a false alarm of g++ 12
    copy[i] = values[i];
  }
  return copy;
}

void apply_in_parallel(
    const float* x,
    float* y,
    size_t rows,
    size_t channels,
    const float* scale,
    const float* shift,
    const ChannelFunction& function) {
  ChannelFunction f = function;
  const bool snake = f.snake_alpha != nullptr;
  const size_t count = snake ? channels : 0;
  std::vector<float> alpha = padded(f.snake_alpha, count);
  std::vector<float> amplitude = padded(
      f.snake_amplitude != nullptr ? f.snake_amplitude : f.snake_alpha, count);
  if (snake) {
    if (f.snake_amplitude == nullptr) {
      for (float& value : amplitude) {
        value = 1 / value;
      }
    }
    f.snake_alpha = alpha.data();
  }
  const size_t block = std::max<size_t>(1, 16384 / channels);
#pragma omp parallel for schedule(static)
  for (size_t from = 0; from < rows; from += block) {
    HWY_DYNAMIC_DISPATCH(apply)
    (x + from * channels,
     y + from * channels,
     std::min(block, rows - from),
     channels,
     scale,
     shift,
     f,
     amplitude.data());
  }
}

} // namespace

void ada_instance_norm_cpu(
    const float* x,
    float* y,
    int time,
    int channels,
    const float* gamma,
    const float* beta,
    float eps,
    const ChannelFunction& function) {
  int threads = omp_get_max_threads();
  size_t width = channels;
  std::vector<double> sum(threads * width);
  std::vector<double> square(threads * width);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < threads; ++i) {
    int begin = static_cast<int>(static_cast<int64_t>(time) * i / threads);
    int end = static_cast<int>(static_cast<int64_t>(time) * (i + 1) / threads);
    HWY_DYNAMIC_DISPATCH(sums)
    (x, begin, end, width, &sum[i * width], &square[i * width]);
  }
  std::vector<float> scale(width + max_lanes, 0.0f);
  std::vector<float> shift(width + max_lanes, 0.0f);
  for (size_t c = 0; c < width; ++c) {
    double s = 0;
    double q = 0;
    for (int i = 0; i < threads; ++i) {
      s += sum[i * width + c];
      q += square[i * width + c];
    }
    double offset = s / time; // mean less the first row
    double variance = std::max(0.0, q / time - offset * offset);
    double factor = (1.0 + gamma[c]) / std::sqrt(variance + eps);
    scale[c] = static_cast<float>(factor);
    shift[c] = static_cast<float>(beta[c] - (x[c] + offset) * factor);
  }
  apply_in_parallel(x, y, time, width, scale.data(), shift.data(), function);
}

void channel_function_cpu(
    const float* x,
    float* y,
    size_t rows,
    int channels,
    const ChannelFunction& function) {
  apply_in_parallel(x, y, rows, channels, nullptr, nullptr, function);
}

} // namespace mlx_audio::kernels
#endif
