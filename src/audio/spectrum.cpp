#include "audio/spectrum.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

#include "audio/fft.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

std::vector<float> hann_window(size_t n, bool periodic) {
  double period = static_cast<double>(periodic || n < 2 ? n : n - 1);
  std::vector<float> window(n);
  for (size_t i = 0; i < n; ++i) {
    window[i] = static_cast<float>(
        0.5 -
        0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / period));
  }
  return window;
}

size_t frame_count(size_t samples, const FrameOptions& options) {
  if (options.centre) {
    return 1 + samples / options.hop;
  }
  return samples < options.n_fft ? 0
                                 : 1 + (samples - options.n_fft) / options.hop;
}

namespace {

/// A signal that is zero, or a reflection, beyond its ends.
class Signal {
 public:
  Signal(std::span<const float> samples, size_t padding)
      : samples_(samples), size_(samples.size() + padding) {}

  size_t size() const {
    return size_;
  }

  /// n samples from `start`, which may be negative, reflected at 0 and size().
  const float* frame(std::ptrdiff_t start, size_t n) {
    auto end = start + static_cast<std::ptrdiff_t>(n);
    if (start >= 0 && end <= static_cast<std::ptrdiff_t>(samples_.size())) {
      return samples_.data() + start;
    }
    scratch_.resize(n);
    auto last = static_cast<std::ptrdiff_t>(size_) - 1;
    for (size_t i = 0; i < n; ++i) {
      std::ptrdiff_t at = std::abs(start + static_cast<std::ptrdiff_t>(i));
      at = at > last ? 2 * last - at : at;
      bool zero = at < 0 || at >= static_cast<std::ptrdiff_t>(samples_.size());
      scratch_[i] = zero ? 0.0F : samples_[static_cast<size_t>(at)];
    }
    return scratch_.data();
  }

 private:
  std::span<const float> samples_;
  size_t size_;
  std::vector<float> scratch_;
};

/// Calls use(frame index, power [bins]) for each frame in order.
template <typename Use>
void for_each_power(
    Signal& signal,
    const FrameOptions& options,
    size_t frames,
    Use use) {
  size_t n = options.n_fft;
  std::vector<float> window =
      options.window.empty() ? hann_window(n) : options.window;
  if (n < 1 || options.hop < 1 || window.size() != n) {
    throw Error(
        ErrorKind::invalid_argument,
        "[spectrum] window of " + std::to_string(window.size()) +
            " for frames of " + std::to_string(n));
  }
  auto margin = static_cast<std::ptrdiff_t>(options.centre ? n / 2 : 0);
  if (margin > 0 && frames > 0 &&
      signal.size() <= static_cast<size_t>(margin)) {
    throw Error(
        ErrorKind::invalid_argument,
        "[spectrum] " + std::to_string(signal.size()) +
            " samples are too few to reflect " + std::to_string(margin));
  }
  RealFft<Float4> fft(n);
  size_t bins = fft.bins();
  constexpr size_t kLanes = 4;
  std::vector<Float4> in(n);
  std::vector<Float4> re(bins);
  std::vector<Float4> im(bins);
  std::vector<float> power(kLanes * bins);
  for (size_t first = 0; first < frames; first += kLanes) {
    size_t count = std::min(kLanes, frames - first);
    for (size_t lane = 0; lane < count; ++lane) {
      auto start =
          static_cast<std::ptrdiff_t>((first + lane) * options.hop) - margin;
      const float* frame = signal.frame(start, n);
      for (size_t i = 0; i < n; ++i) {
        in[i][lane] = frame[i] * window[i];
      }
    }
    fft.forward(in.data(), re.data(), im.data());
    for (size_t k = 0; k < bins; ++k) {
      Float4 p = re[k] * re[k] + im[k] * im[k];
      for (size_t lane = 0; lane < kLanes; ++lane) {
        power[lane * bins + k] = p[lane];
      }
    }
    for (size_t lane = 0; lane < count; ++lane) {
      use(first + lane, power.data() + lane * bins);
    }
  }
}

/// [frames, 80] in double, as the parity goldens define it.
std::vector<double> log_mel(std::span<const float> samples, int sample_rate) {
  constexpr size_t n_fft = 1024;
  constexpr size_t hop = 256;
  constexpr size_t bands = 80;
  auto bank = MelFilterbank::between_bins(sample_rate, n_fft, bands);
  size_t frames =
      samples.size() < n_fft ? 1 : 1 + (samples.size() - n_fft) / hop;
  RealFft<double> fft(n_fft);
  std::vector<double> in(n_fft);
  std::vector<double> re(fft.bins());
  std::vector<double> im(fft.bins());
  std::vector<double> mel(frames * bands);
  for (size_t f = 0; f < frames; ++f) {
    for (size_t i = 0; i < n_fft; ++i) {
      double hann = 0.5 -
          0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / n_fft);
      size_t at = f * hop + i;
      in[i] = at < samples.size() ? samples[at] * hann : 0;
    }
    fft.forward(in.data(), re.data(), im.data());
    for (size_t k = 0; k < re.size(); ++k) {
      re[k] = re[k] * re[k] + im[k] * im[k];
    }
    bank.apply(re.data(), mel.data() + f * bands);
  }
  for (double& x : mel) {
    x = std::log10(std::max(x, 1e-8));
  }
  return mel;
}

} // namespace

std::vector<float> power_spectrum(
    std::span<const float> samples,
    const FrameOptions& options) {
  size_t frames = frame_count(samples.size(), options);
  size_t bins = options.n_fft / 2 + 1;
  std::vector<float> out(frames * bins);
  Signal signal(samples, 0);
  for_each_power(signal, options, frames, [&](size_t f, const float* power) {
    std::copy_n(
        power, bins, out.begin() + static_cast<std::ptrdiff_t>(f * bins));
  });
  return out;
}

std::vector<float> mel_spectrum(
    std::span<const float> samples,
    const FrameOptions& options,
    const MelFilterbank& filterbank) {
  if (filterbank.bins() != options.n_fft / 2 + 1) {
    throw Error(
        ErrorKind::invalid_argument,
        "[mel] filters of " + std::to_string(filterbank.bins()) +
            " bins for frames of " + std::to_string(options.n_fft));
  }
  size_t frames = frame_count(samples.size(), options);
  std::vector<float> out(frames * filterbank.bands());
  Signal signal(samples, 0);
  for_each_power(signal, options, frames, [&](size_t f, const float* power) {
    filterbank.apply(power, out.data() + f * filterbank.bands());
  });
  return out;
}

std::vector<float>
whisper_log_mel(std::span<const float> samples, size_t bands, size_t padding) {
  FrameOptions options;
  options.centre = true;
  MelOptions mel;
  mel.bands = bands;
  MelFilterbank bank(mel);
  Signal signal(samples, padding);
  size_t frames = signal.size() / options.hop; // the last frame is dropped
  std::vector<float> out(bands * frames);
  std::vector<float> energies(bands);
  float largest = -10;
  for_each_power(signal, options, frames, [&](size_t f, const float* power) {
    bank.apply(power, energies.data());
    for (size_t b = 0; b < bands; ++b) {
      float x = std::log10(std::max(energies[b], 1e-10F));
      largest = std::max(largest, x);
      out[b * frames + f] = x;
    }
  });
  for (float& x : out) {
    x = (std::max(x, largest - 8) + 4) / 4;
  }
  return out;
}

LogMelDistance log_mel_distance(
    std::span<const float> a,
    std::span<const float> b,
    int sample_rate) {
  size_t n = std::min(a.size(), b.size());
  auto x = log_mel(a.first(n), sample_rate);
  auto y = log_mel(b.first(n), sample_rate);
  auto count = static_cast<double>(x.size());
  double difference = 0;
  double mean_x = 0;
  double mean_y = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += std::abs(x[i] - y[i]) / count;
    mean_x += x[i] / count;
    mean_y += y[i] / count;
  }
  double xx = 0;
  double yy = 0;
  double xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return {difference, xy / std::sqrt(xx * yy)};
}

} // namespace mlx_audio::audio
