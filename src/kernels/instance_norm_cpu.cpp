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

#include "kernels/channel_map-inl.h"

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

// y = map(x) over rows.
void apply(
    const float* x,
    float* y,
    size_t rows,
    size_t channels,
    const ChannelMap& map) {
  for (size_t t = 0; t < rows; ++t) {
    map_row(x + t * channels, y + t * channels, channels, map);
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

namespace {

HWY_EXPORT(sums);
HWY_EXPORT(apply);

void apply_in_parallel(
    const float* x,
    float* y,
    size_t rows,
    size_t channels,
    const ChannelMap& map) {
  const size_t block = std::max<size_t>(1, 16384 / channels);
#pragma omp parallel for schedule(static)
  for (size_t from = 0; from < rows; from += block) {
    HWY_DYNAMIC_DISPATCH(apply)
    (x + from * channels,
     y + from * channels,
     std::min(block, rows - from),
     channels,
     map);
  }
}

} // namespace

ChannelValues::ChannelValues(const float* values, size_t count)
    : ChannelValues(count, 1.0f) {
  for (size_t i = 0; i < count; ++i) { // copy_n: a false alarm of g++ 12
    values_[i] = values[i];
  }
}

ChannelMap::ChannelMap(size_t channels, const ChannelFunction& function)
    : snake(function.snake_alpha != nullptr), slope(function.leaky_slope) {
  if (snake) {
    alpha = ChannelValues(function.snake_alpha, channels);
    amplitude = ChannelValues(
        function.snake_amplitude != nullptr ? function.snake_amplitude
                                            : function.snake_alpha,
        channels);
    for (size_t c = 0; function.snake_amplitude == nullptr && c < channels;
         ++c) {
      amplitude[c] = 1 / amplitude[c];
    }
  }
}

ChannelMap instance_norm_map(
    const float* x,
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
  ChannelMap map(width, function);
  map.affine = true;
  map.scale = ChannelValues(width);
  map.shift = ChannelValues(width);
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
    map.scale[c] = static_cast<float>(factor);
    map.shift[c] = static_cast<float>(beta[c] - (x[c] + offset) * factor);
  }
  return map;
}

void ada_instance_norm_cpu(
    const float* x,
    float* y,
    int time,
    int channels,
    const float* gamma,
    const float* beta,
    float eps,
    const ChannelFunction& function) {
  auto map = instance_norm_map(x, time, channels, gamma, beta, eps, function);
  apply_in_parallel(x, y, time, channels, map);
}

void channel_function_cpu(
    const float* x,
    float* y,
    size_t rows,
    int channels,
    const ChannelFunction& function) {
  apply_in_parallel(x, y, rows, channels, ChannelMap(channels, function));
}

} // namespace mlx_audio::kernels
#endif
