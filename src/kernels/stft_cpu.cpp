#include "kernels/stft_cpu.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/stft_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using V = hn::Vec<F>;

size_t whole_vectors(size_t count) {
  const size_t lanes = hn::Lanes(F());
  return (count + lanes - 1) / lanes * lanes;
}

// [rows, columns] with rows padded to whole vectors.
std::vector<float> pad_rows(const float* from, size_t rows, size_t columns) {
  const size_t stride = whole_vectors(columns);
  std::vector<float> to(rows * stride);
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(from + r * columns, columns, to.data() + r * stride);
  }
  return to;
}

// y [width] = sum over n of x[n] rows[n]; width is whole vectors.
void combine(
    const float* x,
    size_t count,
    const float* rows,
    size_t width,
    float* y) {
  const F d;
  for (size_t c = 0; c < width; c += hn::Lanes(d)) {
    V sum = hn::Zero(d);
    for (size_t n = 0; n < count; ++n) {
      sum =
          hn::MulAdd(hn::Set(d, x[n]), hn::LoadU(d, rows + n * width + c), sum);
    }
    hn::StoreU(sum, d, y + c);
  }
}

constexpr int64_t kFrames = 64; // a piece of work

void forward(
    const float* x,
    int samples,
    const float* basis,
    int n_fft,
    int hop,
    float* spectrum) {
  const int bins = n_fft / 2 + 1;
  const int half = n_fft / 2;
  const size_t width = whole_vectors(2 * bins);
  const auto rows = pad_rows(basis, n_fft, 2 * bins);
  parallel_for(1 + samples / hop, kFrames, [&](int64_t frame) HWY_ATTR {
    static thread_local std::vector<float> buffer;
    buffer.resize(n_fft + width);
    float* piece = buffer.data();
    float* parts = piece + n_fft;
    const int64_t first = frame * hop - half;
    for (int n = 0; n < n_fft; ++n) {
      int64_t at = std::abs(first + n);
      piece[n] = x[at < samples ? at : 2 * (samples - 1) - at];
    }
    combine(piece, n_fft, rows.data(), width, parts);
    float* to = spectrum + frame * 2 * bins;
    for (int k = 0; k < bins; ++k) {
      const float re = parts[k];
      const float im = parts[bins + k];
      to[k] = std::sqrt(re * re + im * im);
      to[bins + k] = std::atan2(im, re);
    }
  });
}

// Magnitude and phase to real and imaginary parts, [bins] each.
void to_complex(const float* row, int bins, float* parts) {
  const F d;
  for (int k = 0; k < bins; k += static_cast<int>(hn::Lanes(d))) {
    HWY_ALIGN float log_magnitude[HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float arc[HWY_MAX_BYTES / sizeof(float)] = {};
    const int count = std::min(bins - k, static_cast<int>(hn::Lanes(d)));
    std::copy_n(row + k, count, log_magnitude);
    std::copy_n(row + bins + k, count, arc);
    const V magnitude = math::exp(d, hn::Load(d, log_magnitude));
    const V phase = math::sin(d, hn::Load(d, arc));
    hn::Store(hn::Mul(magnitude, math::cos(d, phase)), d, log_magnitude);
    hn::Store(hn::Mul(magnitude, math::sin(d, phase)), d, arc);
    std::copy_n(log_magnitude, count, parts + k);
    std::copy_n(arc, count, parts + bins + k);
  }
}

void inverse(
    const float* spectrum,
    int frames,
    const float* basis,
    const float* window,
    int n_fft,
    int hop,
    float* y) {
  const int bins = n_fft / 2 + 1;
  const int64_t samples = static_cast<int64_t>(frames - 1) * hop;
  const size_t width = whole_vectors(n_fft);
  const auto rows = pad_rows(basis, static_cast<size_t>(2) * bins, n_fft);
  // A piece is the samples that start with kFrames frames; the frames before
  // that reach into it are computed again.
  const int64_t piece = kFrames * hop;
  const int64_t pieces = (samples + n_fft / 2 + piece - 1) / piece;
  parallel_for(pieces, 1, [&](int64_t i) HWY_ATTR {
    const int64_t begin = i * piece; // with the half frame that is cut
    std::vector<float> sum(piece + n_fft + width);
    std::vector<float> weight(piece + n_fft);
    std::vector<float> parts(static_cast<size_t>(2) * bins);
    std::vector<float> one(width);
    const int64_t first = std::max<int64_t>(0, (begin - n_fft) / hop + 1);
    const int64_t last =
        std::min<int64_t>(frames, (begin + piece + hop - 1) / hop);
    for (int64_t f = first; f < last; ++f) {
      to_complex(spectrum + f * 2 * bins, bins, parts.data());
      combine(parts.data(), parts.size(), rows.data(), width, one.data());
      for (int n = 0; n < n_fft; ++n) {
        const int64_t at = f * hop + n - begin;
        if (at >= 0 && at < piece) {
          sum[at] += one[n];
          weight[at] += window[n] * window[n];
        }
      }
    }
    const int64_t from = std::max<int64_t>(0, n_fft / 2 - begin);
    const int64_t to = std::min<int64_t>(piece, samples + n_fft / 2 - begin);
    for (int64_t at = from; at < to; ++at) {
      y[begin + at - n_fft / 2] = sum[at] / weight[at];
    }
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(forward);
HWY_EXPORT(inverse);

void magnitude_phase_stft_cpu(
    const float* x,
    int samples,
    const float* basis,
    int n_fft,
    int hop,
    float* spectrum) {
  HWY_DYNAMIC_DISPATCH(forward)(x, samples, basis, n_fft, hop, spectrum);
}

void istft_from_log_cpu(
    const float* spectrum,
    int frames,
    const float* basis,
    const float* window,
    int n_fft,
    int hop,
    float* y) {
  HWY_DYNAMIC_DISPATCH(inverse)
  (spectrum, frames, basis, window, n_fft, hop, y);
}

} // namespace mlx_audio::kernels
#endif
