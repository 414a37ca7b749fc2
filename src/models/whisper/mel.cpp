#include "models/whisper/mel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/linear.h"
#include "models/whisper/config.h"

namespace mlx_audio::whisper {

namespace {

constexpr int kFft = 400;
constexpr int kBins = kFft / 2 + 1;

// Slaney's mel scale: linear to 1 kHz, then logarithmic.
double to_mel(double hz) {
  constexpr double step = 200.0 / 3;
  return hz < 1000 ? hz / step
                   : 1000 / step + std::log(hz / 1000) * 27 / std::log(6.4);
}

double to_hz(double mel) {
  constexpr double step = 200.0 / 3;
  return mel < 1000 / step
      ? mel * step
      : 1000 * std::exp((mel - 1000 / step) * std::log(6.4) / 27);
}

} // namespace

std::vector<float> mel_filters(int n_mels) {
  std::vector<double> edges(static_cast<size_t>(n_mels) + 2);
  double top = to_mel(kSampleRate / 2.0);
  for (size_t i = 0; i < edges.size(); ++i) {
    edges[i] = to_hz(top * static_cast<double>(i) / (n_mels + 1));
  }
  std::vector<float> filters(static_cast<size_t>(n_mels) * kBins);
  for (size_t m = 0; m < static_cast<size_t>(n_mels); ++m) {
    double low = edges[m];
    double centre = edges[m + 1];
    double high = edges[m + 2];
    for (size_t bin = 0; bin < kBins; ++bin) {
      double hz = static_cast<double>(bin) * kSampleRate / kFft;
      double rise = (hz - low) / (centre - low);
      double fall = (high - hz) / (high - centre);
      double value = std::max(0.0, std::min(rise, fall)) * 2 / (high - low);
      filters[m * kBins + bin] = static_cast<float>(value);
    }
  }
  return filters;
}

LogMel::LogMel(int n_mels)
    : n_mels_(n_mels),
      window_([] {
        std::vector<float> hann(kFft);
        for (int i = 0; i < kFft; ++i) {
          double phase = 2 * std::numbers::pi * i / kFft;
          hann[static_cast<size_t>(i)] =
              static_cast<float>(0.5 - 0.5 * std::cos(phase));
        }
        return mx::array(hann.begin(), {kFft});
      }()),
      filters_(mx::array(mel_filters(n_mels).begin(), {n_mels, kBins})) {}

mx::array LogMel::frames(
    std::span<const float> samples,
    int64_t offset,
    int64_t first,
    int64_t count) const {
  int64_t begin = first * kHop - kFft / 2;
  int64_t length = (count - 1) * kHop + kFft;
  std::vector<float> signal(static_cast<size_t>(std::max<int64_t>(length, 0)));
  auto total = static_cast<int64_t>(samples.size());
  for (int64_t i = 0; i < length; ++i) {
    int64_t at = begin + i;
    at = (at < 0 ? -at : at) - offset; // reflects at the signal's start
    signal[static_cast<size_t>(i)] =
        at >= 0 && at < total ? samples[static_cast<size_t>(at)] : 0.0f;
  }
  auto n = static_cast<int>(count);
  auto x = mx::as_strided(
      mx::array(signal.begin(), {static_cast<int>(length)}),
      {n, kFft},
      {kHop, 1},
      0);
  auto spectrum = mx::fft::rfft(x * window_, kFft, -1);
  auto power = mx::square(mx::real(spectrum)) + mx::square(mx::imag(spectrum));
  auto mel = kernels::linear(power, {.weight = filters_});
  return mx::log10(mx::maximum(mel, mx::array(1e-10f)));
}

mx::array normalize_log_mel(const mx::array& log_mel, float maximum) {
  auto clamped = mx::maximum(log_mel, mx::array(maximum - 8.0f));
  return (clamped + mx::array(4.0f)) * mx::array(0.25f);
}

} // namespace mlx_audio::whisper
