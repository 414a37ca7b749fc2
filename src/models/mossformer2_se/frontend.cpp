#include "models/mossformer2_se/frontend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace mlx_audio::mossformer2_se {

namespace {

constexpr float kFullScale = 32768;
constexpr double kLowestHz = 20;

double mel(double hz) {
  return 1127 * std::log1p(hz / 700);
}

mx::array matrix(const std::vector<float>& x, int rows, int columns) {
  return mx::array(x.data(), {rows, columns}, mx::float32);
}

// One frame as Kaldi prepares it: mean out, pre-emphasis (the first sample
// precedes itself), window.
void prepare_frame(
    float* frame,
    int size,
    float preemphasis,
    const std::vector<float>& taper) {
  double sum = 0;
  for (int i = 0; i < size; ++i) {
    sum += static_cast<double>(frame[i]);
  }
  auto mean = static_cast<float>(sum / size);
  float before = frame[0] - mean;
  for (int i = 0; i < size; ++i) {
    float now = frame[i] - mean;
    frame[i] = (now - preemphasis * before) * taper[static_cast<size_t>(i)];
    before = now;
  }
}

// Five-point regression over time, edges repeated. [frames, width] at x to y,
// both with rows of `stride`.
void deltas(const float* x, float* y, int frames, int width, int stride) {
  auto row = [&](int t) {
    return x + static_cast<ptrdiff_t>(std::clamp(t, 0, frames - 1)) * stride;
  };
  for (int t = 0; t < frames; ++t) {
    for (int i = 0; i < width; ++i) {
      y[static_cast<ptrdiff_t>(t) * stride + i] =
          (2 * (row(t + 2)[i] - row(t - 2)[i]) + row(t + 1)[i] -
           row(t - 1)[i]) /
          10;
    }
  }
}

} // namespace

Frontend::Frontend(const Config& config)
    : window_(config.window),
      hop_(config.hop),
      mels_(config.mels),
      padded_(1),
      preemphasis_(config.preemphasis) {
  while (padded_ < window_) {
    padded_ *= 2;
  }
  for (int i = 0; i < window_; ++i) {
    double phase = 2 * std::numbers::pi * i / (window_ - 1);
    taper_.push_back(static_cast<float>(0.54 - 0.46 * std::cos(phase)));
  }
  double low = mel(kLowestHz);
  double step = (mel(config.sample_rate / 2.0) - low) / (mels_ + 1);
  for (int m = 0; m < mels_; ++m) {
    double left = low + m * step;
    first_.push_back(0);
    weights_.emplace_back();
    // Kaldi leaves the bin at the Nyquist frequency out.
    for (int bin = 0; bin < padded_ / 2; ++bin) {
      double at = mel(static_cast<double>(bin) * config.sample_rate / padded_);
      double weight = std::min(at - left, left + 2 * step - at) / step;
      if (weight > 0) {
        if (weights_.back().empty()) {
          first_.back() = bin;
        }
        weights_.back().push_back(static_cast<float>(weight));
      }
    }
  }
}

int Frontend::frames(size_t samples) const {
  auto window = static_cast<size_t>(window_);
  return samples <= window
      ? 1
      : 1 + static_cast<int>((samples - window) / static_cast<size_t>(hop_));
}

mx::array Frontend::features(
    std::span<const float> x,
    float dither,
    std::mt19937_64& noise) const {
  int count = frames(x.size());
  auto padded = static_cast<size_t>(padded_);
  std::vector<float> prepared(static_cast<size_t>(count) * padded, 0.0f);
  std::normal_distribution<float> gauss;
  for (int t = 0; dither > 0 && t < count; ++t) {
    float* frame = prepared.data() + static_cast<size_t>(t) * padded;
    std::generate(
        frame, frame + window_, [&] { return dither * gauss(noise); });
  }
#pragma omp parallel for schedule(static)
  for (int t = 0; t < count; ++t) {
    float* frame = prepared.data() + static_cast<size_t>(t) * padded;
    size_t begin = static_cast<size_t>(t) * static_cast<size_t>(hop_);
    size_t end = std::min(x.size(), begin + static_cast<size_t>(window_));
    for (size_t i = begin; i < end; ++i) {
      frame[i - begin] += x[i] * kFullScale;
    }
    prepare_frame(frame, window_, preemphasis_, taper_);
  }
  auto spectrum = mx::fft::rfft(matrix(prepared, count, padded_));
  mx::eval(spectrum);
  const auto* bins = spectrum.data<mx::complex64_t>();
  int width = 3 * mels_;
  std::vector<float> out(static_cast<size_t>(count) * width);
#pragma omp parallel for schedule(static)
  for (int t = 0; t < count; ++t) {
    const auto* row = bins + static_cast<ptrdiff_t>(t) * (padded_ / 2 + 1);
    for (int m = 0; m < mels_; ++m) {
      const auto& weights = weights_[static_cast<size_t>(m)];
      const auto* from = row + first_[static_cast<size_t>(m)];
      float energy = 0;
      for (size_t i = 0; i < weights.size(); ++i) {
        float re = from[i].real();
        float im = from[i].imag();
        energy += weights[i] * (re * re + im * im);
      }
      out[static_cast<size_t>(t) * width + m] =
          std::log(std::max(energy, std::numeric_limits<float>::epsilon()));
    }
  }
  deltas(out.data(), out.data() + mels_, count, mels_, width);
  deltas(out.data() + mels_, out.data() + 2 * mels_, count, mels_, width);
  return matrix(out, count, width);
}

std::vector<float> Frontend::windowed(std::span<const float> x, int count)
    const {
  std::vector<float> frames(static_cast<size_t>(count) * window_, 0.0f);
#pragma omp parallel for schedule(static)
  for (int t = 0; t < count; ++t) {
    size_t begin = static_cast<size_t>(t) * static_cast<size_t>(hop_);
    size_t end = std::min(x.size(), begin + static_cast<size_t>(window_));
    float* frame = frames.data() + static_cast<size_t>(t) * window_;
    for (size_t i = begin; i < end; ++i) {
      frame[i - begin] = x[i] * taper_[i - begin];
    }
  }
  return frames;
}

void Frontend::overlap_add(
    const float* frames,
    int first,
    int count,
    size_t begin,
    std::vector<float>& y) const {
  auto samples = static_cast<int64_t>(y.size());
  // Each block of one hop is written by one thread.
  int64_t blocks = (samples + hop_ - 1) / hop_;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    int64_t from = std::max<int64_t>(block * hop_, static_cast<int64_t>(begin));
    int64_t to = std::min(samples, (block + 1) * hop_);
    for (int64_t i = from; i < to; ++i) {
      float sum = 0;
      float square = 0;
      for (int64_t t = block; t >= first && i - t * hop_ < window_; --t) {
        if (t >= first + count) {
          continue;
        }
        int64_t at = i - t * hop_;
        float w = taper_[static_cast<size_t>(at)];
        sum += w * frames[(t - first) * window_ + at];
        square += w * w;
      }
      if (square > 0) {
        y[static_cast<size_t>(i)] = sum / square;
      }
    }
  }
}

std::vector<float> Frontend::resynthesize(
    std::span<const float> x,
    const mx::array& mask,
    Ends ends) const {
  auto filter = [&](std::span<const float> part, const mx::array& m) {
    int n = m.shape(0);
    auto spectrum = mx::fft::rfft(matrix(windowed(part, n), n, window_));
    auto frames = mx::contiguous(mx::fft::irfft(spectrum * m, window_, -1));
    mx::eval(frames);
    return frames;
  };
  int count = mask.shape(0);
  auto hop = static_cast<size_t>(hop_);
  // Frames behind the last whole one, until one begins at the last sample.
  int extra = std::max(0, static_cast<int>((x.size() - 1) / hop) - count + 1);
  auto repeated = [&](int row, int times) {
    return mx::repeat(
        mx::slice(mask, {row, 0}, {row + 1, mask.shape(1)}), times, 0);
  };
  if (ends == Ends::smooth) {
    int before = (window_ - 1) / hop_;
    std::vector<float> padded(static_cast<size_t>(before) * hop, 0.0f);
    padded.insert(padded.end(), x.begin(), x.end());
    auto frames = filter(
        padded,
        mx::concatenate(
            {repeated(0, before), mask, repeated(count - 1, extra)}, 0));
    std::vector<float> y(padded.size());
    overlap_add(frames.data<float>(), 0, before + count + extra, 0, y);
    y.erase(y.begin(), y.begin() + before * hop_);
    return y;
  }
  std::vector<float> y(x.size(), 0.0f);
  auto whole = filter(x, mask);
  overlap_add(whole.data<float>(), 0, count, 0, y);
  size_t covered =
      static_cast<size_t>(count - 1) * hop + static_cast<size_t>(window_);
  if (ends == Ends::filled && covered < x.size()) {
    auto end = filter(
        x.subspan(static_cast<size_t>(count) * hop),
        repeated(count - 1, extra));
    overlap_add(end.data<float>(), count, extra, covered, y);
  }
  return y;
}

} // namespace mlx_audio::mossformer2_se
