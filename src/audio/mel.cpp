// Mel filter banks.
#include <algorithm>
#include <cmath>

#include "audio/spectrum.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

// Slaney's Auditory Toolbox: linear to 1 kHz, 27 logarithmic steps to 6.4 kHz.
constexpr double kLinear = 200.0 / 3;
constexpr double kBreakHz = 1000;
constexpr double kBreakMel = kBreakHz / kLinear;
const double kLogStep = std::log(6.4) / 27;

double to_mel(double hz, MelScale scale) {
  if (scale == MelScale::htk) {
    return 2595 * std::log10(1 + hz / 700);
  }
  return hz < kBreakHz ? hz / kLinear
                       : kBreakMel + std::log(hz / kBreakHz) / kLogStep;
}

double to_hz(double mel, MelScale scale) {
  if (scale == MelScale::htk) {
    return 700 * (std::pow(10, mel / 2595) - 1);
  }
  return mel < kBreakMel ? mel * kLinear
                         : kBreakHz * std::exp((mel - kBreakMel) * kLogStep);
}

/// bands + 2 frequencies in equal steps of mel.
std::vector<double>
edges_of(double low_hz, double high_hz, size_t bands, MelScale scale) {
  double low = to_mel(low_hz, scale);
  double step = (to_mel(high_hz, scale) - low) / static_cast<double>(bands + 1);
  std::vector<double> edges;
  for (size_t i = 0; i < bands + 2; ++i) {
    edges.push_back(to_hz(low + step * static_cast<double>(i), scale));
  }
  return edges;
}

void check(int sample_rate, size_t n_fft, size_t bands) {
  if (sample_rate <= 0 || n_fft < 2 || bands == 0) {
    throw Error(
        ErrorKind::invalid_argument,
        "[mel] needs a sample rate, 2 or more samples and a band");
  }
}

} // namespace

MelFilterbank::MelFilterbank(const MelOptions& options)
    : bins_(options.n_fft / 2 + 1) {
  check(options.sample_rate, options.n_fft, options.bands);
  double high =
      options.high_hz > 0 ? options.high_hz : options.sample_rate / 2.0;
  auto edges = edges_of(options.low_hz, high, options.bands, options.scale);
  for (size_t band = 0; band < options.bands; ++band) {
    double a = edges[band];
    double b = edges[band + 1];
    double c = edges[band + 2];
    double norm = options.area_norm ? 2 / (c - a) : 1;
    Filter filter{0, {}};
    for (size_t bin = 0; bin < bins_; ++bin) {
      double hz = static_cast<double>(bin) * options.sample_rate /
          static_cast<double>(options.n_fft);
      double weight = std::min((hz - a) / (b - a), (c - hz) / (c - b));
      if (weight > 0) {
        if (filter.weights.empty()) {
          filter.first = bin;
        }
        filter.weights.push_back(static_cast<float>(weight * norm));
      }
    }
    filters_.push_back(std::move(filter));
  }
}

MelFilterbank
MelFilterbank::between_bins(int sample_rate, size_t n_fft, size_t bands) {
  check(sample_rate, n_fft, bands);
  MelFilterbank bank;
  bank.bins_ = n_fft / 2 + 1;
  auto edges = edges_of(0, sample_rate / 2.0, bands, MelScale::htk);
  auto bin_of = [&](size_t i) {
    return static_cast<size_t>(
        std::floor(static_cast<double>(n_fft + 1) * edges[i] / sample_rate));
  };
  for (size_t band = 0; band < bands; ++band) {
    size_t a = bin_of(band);
    size_t b = std::max(bin_of(band + 1), a + 1);
    size_t c = std::max(bin_of(band + 2), a + 2);
    Filter filter{a, {}};
    for (size_t i = a; i < std::min(c, bank.bins_); ++i) {
      auto weight = i < b
          ? static_cast<double>(i - a) / static_cast<double>(b - a)
          : static_cast<double>(c - i) / static_cast<double>(c - b);
      filter.weights.push_back(static_cast<float>(weight));
    }
    bank.filters_.push_back(std::move(filter));
  }
  return bank;
}

template <typename T>
void MelFilterbank::apply_to(const T* power, T* out) const {
  for (const Filter& filter : filters_) {
    const T* p = power + filter.first;
    T sum = 0;
    for (float weight : filter.weights) {
      sum += weight * *p++;
    }
    *out++ = sum;
  }
}

void MelFilterbank::apply(const float* power, float* out) const {
  apply_to(power, out);
}

void MelFilterbank::apply(const double* power, double* out) const {
  apply_to(power, out);
}

std::vector<float> MelFilterbank::dense() const {
  std::vector<float> out(bands() * bins_);
  for (size_t band = 0; band < bands(); ++band) {
    const Filter& filter = filters_[band];
    std::copy(
        filter.weights.begin(),
        filter.weights.end(),
        out.begin() + static_cast<std::ptrdiff_t>(band * bins_ + filter.first));
  }
  return out;
}

} // namespace mlx_audio::audio
