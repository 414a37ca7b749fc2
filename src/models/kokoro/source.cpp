#include "models/kokoro/source.h"

#include <cmath>
#include <vector>

namespace mlx_audio::kokoro {

namespace {

constexpr int harmonics = 9; // the fundamental and eight overtones
constexpr float sine_amplitude = 0.1f;
constexpr float voiced_noise = 0.003f;
constexpr float unvoiced_noise = sine_amplitude / 3;
constexpr float voiced_threshold = 10.0f; // Hz

std::vector<double> hann(int n) { // periodic
  std::vector<double> window(n);
  for (int i = 0; i < n; ++i) {
    window[i] = 0.5 - 0.5 * std::cos(2 * M_PI * i / n);
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

mx::array f32(const std::vector<float>& values, const mx::Shape& shape) {
  return mx::array(values.data(), shape, mx::float32);
}

} // namespace

HarmonicSource::HarmonicSource(
    nn::Weights& weights,
    const std::string& path,
    int sample_rate,
    int upsample)
    : merge_(weights, path + ".l_linear", harmonics, 1),
      sample_rate_(sample_rate),
      upsample_(upsample) {}

mx::array HarmonicSource::operator()(
    const mx::array& f0_values,
    std::optional<uint64_t> noise_seed) const {
  int batch = f0_values.shape(0);
  int time = f0_values.shape(1);
  auto f0 = mx::astype(f0_values, mx::float32);
  auto one = mx::array(1.0f);

  // Upstream sums the phase at the F0 rate and interpolates it linearly between
  // the middles of F0's intervals. Its random initial phases never reach the
  // sum (they are added to a sample that interpolation skips), so there are
  // none here. Phases are kept in cycles and wrapped at each F0 value, so that
  // f32 is enough for any length.
  auto multiples = mx::arange(1, harmonics + 1, mx::float32);
  auto cycles = mx::remainder(
      mx::expand_dims(f0, -1) * multiples /
          mx::array(static_cast<float>(sample_rate_)),
      one); // [batch, time, harmonics], per sample
  auto steps = cycles * mx::array(static_cast<float>(upsample_));
  auto phase = mx::remainder(mx::cumsum(mx::remainder(steps, one), 1), one);

  // Sample n of an interval lies at (n + 0.5) / upsample - 0.5 intervals from
  // its middle: the first half runs from the interval before (held at the
  // start), the second half to the one after (held at the end).
  std::vector<float> weight(upsample_);
  for (int n = 0; n < upsample_; ++n) {
    weight[n] = static_cast<float>((n + 0.5) / upsample_ - 0.5);
  }
  auto w = f32(weight, {1, 1, upsample_, 1});
  auto first = mx::zeros({batch, 1, harmonics}, mx::float32);
  auto before = mx::concatenate(
      {first, mx::slice(steps, {0, 1, 0}, {batch, time, harmonics})}, 1);
  auto after = mx::concatenate(
      {mx::slice(steps, {0, 1, 0}, {batch, time, harmonics}), first}, 1);
  auto slope = mx::where(
      mx::less(w, mx::array(0.0f)),
      mx::expand_dims(before, 2),
      mx::expand_dims(after, 2));
  auto sines = mx::sin(
      (mx::expand_dims(phase, 2) + w * slope) *
      mx::array(static_cast<float>(2 * M_PI)));

  auto voiced =
      mx::astype(mx::greater(f0, mx::array(voiced_threshold)), mx::float32);
  voiced = mx::reshape(voiced, {batch, time, 1, 1});
  auto waves = sines * mx::array(sine_amplitude) * voiced;
  if (noise_seed) {
    auto amplitude = voiced * mx::array(voiced_noise) +
        (one - voiced) * mx::array(unvoiced_noise);
    waves = waves +
        amplitude *
            mx::random::normal(
                waves.shape(), mx::float32, mx::random::key(*noise_seed));
  }
  return mx::reshape(mx::tanh(merge_(waves)), {batch, time * upsample_});
}

mx::array magnitude_phase_stft(const mx::array& x, int n_fft, int hop) {
  int batch = x.shape(0);
  int samples = x.shape(1);
  int half = n_fft / 2;
  int bins = half + 1;
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
  int frames = 1 + samples / hop;
  auto framed = mx::as_strided(
      padded,
      {batch, frames, n_fft},
      {static_cast<int64_t>(samples + n_fft), hop, 1},
      0);
  auto window = hann(n_fft);
  std::vector<float> basis(static_cast<size_t>(2) * bins * n_fft);
  for (int k = 0; k < bins; ++k) {
    for (int n = 0; n < n_fft; ++n) {
      auto [cosine, sine] = unit_root(k * n, n_fft);
      basis[k * n_fft + n] = static_cast<float>(window[n] * cosine);
      basis[(bins + k) * n_fft + n] = static_cast<float>(-window[n] * sine);
    }
  }
  auto spectrum =
      kernels::linear(framed, {.weight = f32(basis, {2 * bins, n_fft})});
  auto parts = mx::split(spectrum, 2, -1);
  return mx::concatenate(
      {mx::sqrt(mx::square(parts[0]) + mx::square(parts[1])),
       mx::arctan2(parts[1], parts[0])},
      -1);
}

mx::array istft_from_log(const mx::array& spectrum, int n_fft, int hop) {
  int batch = spectrum.shape(0);
  int frames = spectrum.shape(1);
  int bins = n_fft / 2 + 1;
  auto parts = mx::split(mx::astype(spectrum, mx::float32), 2, -1);
  auto magnitude = mx::exp(parts[0]);
  auto phase = mx::sin(parts[1]);
  auto z = mx::concatenate(
      {magnitude * mx::cos(phase), magnitude * mx::sin(phase)}, -1);

  // Inverse real DFT and synthesis window as one matrix.
  auto window = hann(n_fft);
  std::vector<float> basis(static_cast<size_t>(n_fft) * 2 * bins);
  for (int n = 0; n < n_fft; ++n) {
    for (int k = 0; k < bins; ++k) {
      double weight = (k == 0 || 2 * k == n_fft ? 1.0 : 2.0) / n_fft;
      auto [cosine, sine] = unit_root(k * n, n_fft);
      basis[n * 2 * bins + k] = static_cast<float>(weight * window[n] * cosine);
      basis[n * 2 * bins + bins + k] =
          static_cast<float>(-weight * window[n] * sine);
    }
  }
  auto y = kernels::linear(z, {.weight = f32(basis, {n_fft, 2 * bins})});

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
  std::vector<float> gain(samples);
  for (int t = 0; t < samples; ++t) {
    int at = t + n_fft / 2;
    double total = 0;
    for (int f = std::max(0, (at - n_fft) / hop + 1); f <= at / hop; ++f) {
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

} // namespace mlx_audio::kokoro
