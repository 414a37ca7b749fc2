#include "kernels/stft.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <vector>

#include "kernels/cpu_op.h"
#include "kernels/stft_cpu.h"

namespace mlx_audio::kernels {

namespace {

std::vector<float> hann(int n) { // periodic
  std::vector<float> window(n);
  for (int i = 0; i < n; ++i) {
    window[i] = static_cast<float>(0.5 - 0.5 * std::cos(2 * M_PI * i / n));
  }
  return window;
}

// cos and sin of 2 pi i / n, exactly 0 where they are 0: the imaginary part of
// the highest bin must be 0, or its phase would flip between pi and -pi.
std::pair<double, double> unit_root(int i, int n) {
  i %= n;
  double angle = 2 * M_PI * i / n;
  return {
      4 * i == n || 4 * i == 3 * n ? 0.0 : std::cos(angle),
      2 * i % n == 0 ? 0.0 : std::sin(angle)};
}

// [n_fft, 2 bins]: what sample n of a windowed frame adds to each part.
std::vector<float> forward_basis(int n_fft) {
  const int bins = n_fft / 2 + 1;
  const auto window = hann(n_fft);
  std::vector<float> basis(static_cast<size_t>(2) * bins * n_fft);
  for (int n = 0; n < n_fft; ++n) {
    for (int k = 0; k < bins; ++k) {
      auto [cosine, sine] = unit_root(k * n, n_fft);
      float* row = basis.data() + static_cast<size_t>(n) * 2 * bins;
      row[k] = static_cast<float>(window[n] * cosine);
      row[bins + k] = static_cast<float>(-window[n] * sine);
    }
  }
  return basis;
}

// [2 bins, n_fft]: what each part adds to sample n, windowed again.
std::vector<float> inverse_basis(int n_fft) {
  const int bins = n_fft / 2 + 1;
  const auto window = hann(n_fft);
  std::vector<float> basis(static_cast<size_t>(2) * bins * n_fft);
  for (int k = 0; k < bins; ++k) {
    double weight = (k == 0 || 2 * k == n_fft ? 1.0 : 2.0) / n_fft;
    for (int n = 0; n < n_fft; ++n) {
      auto [cosine, sine] = unit_root(k * n, n_fft);
      basis[static_cast<size_t>(k) * n_fft + n] =
          static_cast<float>(weight * window[n] * cosine);
      basis[static_cast<size_t>(bins + k) * n_fft + n] =
          static_cast<float>(-weight * window[n] * sine);
    }
  }
  return basis;
}

mx::array f32(const std::vector<float>& values, const mx::Shape& shape) {
  return mx::array(values.data(), shape, mx::float32);
}

mx::array stft_mlx(const mx::array& x, int n_fft, int hop) {
  int batch = x.shape(0);
  int samples = x.shape(1);
  int half = n_fft / 2;
  // Reflection without the edge sample on both sides.
  auto mirror = [&](int start) {
    std::vector<int> index(half);
    for (int i = 0; i < half; ++i) {
      index[i] = start - i;
    }
    return mx::take(x, mx::array(index.data(), {half}, mx::int32), 1);
  };
  auto padded = mx::contiguous(
      mx::concatenate({mirror(half), x, mirror(samples - 2)}, 1));
  auto framed = mx::as_strided(
      padded,
      {batch, 1 + samples / hop, n_fft},
      {static_cast<int64_t>(samples + n_fft), hop, 1},
      0);
  auto spectrum = mx::matmul(
      framed, f32(forward_basis(n_fft), {n_fft, 2 * (n_fft / 2 + 1)}));
  auto parts = mx::split(spectrum, 2, -1);
  return mx::concatenate(
      {mx::sqrt(mx::square(parts[0]) + mx::square(parts[1])),
       mx::arctan2(parts[1], parts[0])},
      -1);
}

mx::array istft_mlx(const mx::array& spectrum, int n_fft, int hop) {
  int batch = spectrum.shape(0);
  int frames = spectrum.shape(1);
  auto parts = mx::split(spectrum, 2, -1);
  auto magnitude = mx::exp(parts[0]);
  auto phase = mx::sin(parts[1]);
  auto z = mx::concatenate(
      {magnitude * mx::cos(phase), magnitude * mx::sin(phase)}, -1);
  auto y =
      mx::matmul(z, f32(inverse_basis(n_fft), {2 * (n_fft / 2 + 1), n_fft}));

  // Overlap-add: hop divides n_fft, so that it is a sum of shifted rows.
  int overlap = n_fft / hop;
  int rows = frames + overlap - 1;
  y = mx::reshape(y, {batch, frames, overlap, hop});
  auto sum = mx::zeros({batch, rows, hop}, mx::float32);
  for (int i = 0; i < overlap; ++i) {
    auto part =
        mx::squeeze(mx::slice(y, {0, 0, i, 0}, {batch, frames, i + 1, hop}), 2);
    sum = sum + mx::pad(part, {{0, 0}, {i, overlap - 1 - i}, {0, 0}});
  }

  // Divided by the sum of squared windows, cut to the centred span.
  int samples = (frames - 1) * hop;
  auto window = hann(n_fft);
  std::vector<float> gain(samples);
  for (int t = 0; t < samples; ++t) {
    int at = t + n_fft / 2;
    double total = 0;
    for (int f = std::max(0, (at - n_fft + hop) / hop); f <= at / hop; ++f) {
      if (f < frames) {
        total += window[at - f * hop] * window[at - f * hop];
      }
    }
    gain[t] = static_cast<float>(1 / total);
  }
  auto flat = mx::reshape(sum, {batch, rows * hop});
  return mx::slice(flat, {0, n_fft / 2}, {batch, n_fft / 2 + samples}) *
      f32(gain, {1, samples});
}

void check(const char* op, bool shape, int n_fft, int hop) {
  if (!shape || hop <= 0 || n_fft <= 0 || n_fft % (2 * hop) != 0) {
    throw std::invalid_argument(
        std::string("[") + op + "] needs more than n_fft / 2 samples and an " +
        "n_fft that 2 hop divides, but has n_fft " + std::to_string(n_fft) +
        " and hop " + std::to_string(hop) + ".");
  }
}

} // namespace

mx::array magnitude_phase_stft(const mx::array& x, int n_fft, int hop) {
  check(
      "magnitude_phase_stft",
      x.ndim() == 2 && x.shape(1) > n_fft / 2,
      n_fft,
      hop);
  auto f = mx::astype(x, mx::float32);
  if (!use_cpu_kernels()) {
    return stft_mlx(f, n_fft, hop);
  }
  int batch = x.shape(0);
  int samples = x.shape(1);
  int frames = 1 + samples / hop;
  int width = 2 * (n_fft / 2 + 1);
  return cpu_op(
      "stft",
      {f},
      {batch, frames, width},
      mx::float32,
      [=, basis = forward_basis(n_fft)](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        for (int64_t b = 0; b < batch; ++b) {
          magnitude_phase_stft_cpu(
              in[0].data<float>() + b * samples,
              samples,
              basis.data(),
              n_fft,
              hop,
              out[0].data<float>() + b * frames * width);
        }
      },
      {2.0 * batch * frames * width * n_fft,
       4.0 * batch * (static_cast<double>(frames) * width + samples)});
}

mx::array istft_from_log(const mx::array& spectrum, int n_fft, int hop) {
  check(
      "istft_from_log",
      spectrum.ndim() == 3 && spectrum.shape(2) == 2 * (n_fft / 2 + 1),
      n_fft,
      hop);
  auto f = mx::astype(spectrum, mx::float32);
  if (!use_cpu_kernels()) {
    return istft_mlx(f, n_fft, hop);
  }
  int batch = spectrum.shape(0);
  int frames = spectrum.shape(1);
  int width = spectrum.shape(2);
  int samples = (frames - 1) * hop;
  return cpu_op(
      "istft",
      {f},
      {batch, samples},
      mx::float32,
      [=, basis = inverse_basis(n_fft), window = hann(n_fft)](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        for (int64_t b = 0; b < batch; ++b) {
          istft_from_log_cpu(
              in[0].data<float>() + b * frames * width,
              frames,
              basis.data(),
              window.data(),
              n_fft,
              hop,
              out[0].data<float>() + b * samples);
        }
      },
      {2.0 * batch * frames * width * n_fft,
       4.0 * batch * (static_cast<double>(frames) * width + samples)});
}

} // namespace mlx_audio::kernels
