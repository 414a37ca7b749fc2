#include "models/mossformer2_se/frontend.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "audio/fft.h"

namespace mlx_audio::mossformer2_se {

using audio::Float4;

constexpr int kFrames = 4; // side by side in a transform

/// Fourier transforms of kFrames frames at once.
class Frontend::Transform {
 public:
  explicit Transform(size_t size)
      : fft_(size), time_(size), re_(fft_.bins()), im_(fft_.bins()) {}

  size_t bins() const {
    return fft_.bins();
  }
  Float4* re() {
    return re_.data();
  }
  Float4* im() {
    return im_.data();
  }

  /// Of `count` frames [count, size], kFrames at most.
  void forward(const float* frames, size_t size, int count) {
    for (int f = 0; f < kFrames; ++f) {
      const float* frame = frames + static_cast<size_t>(f) * size;
      for (size_t i = 0; i < size; ++i) {
        time_[i][f] = f < count ? frame[i] : 0.0f;
      }
    }
    fft_.forward(time_.data(), re_.data(), im_.data());
  }

  /// The inverse, by way of the Hartley transform, which is its own.
  void inverse(float* frames, size_t size, int count) {
    for (size_t k = 0; k < bins(); ++k) {
      time_[k] = re_[k] - im_[k];
      time_[(size - k) % size] = re_[k] + im_[k];
    }
    fft_.forward(time_.data(), re_.data(), im_.data());
    auto scale = 1 / static_cast<float>(size);
    for (int f = 0; f < count; ++f) {
      float* frame = frames + static_cast<size_t>(f) * size;
      for (size_t k = 0; k < bins(); ++k) {
        frame[k] = (re_[k][f] - im_[k][f]) * scale;
        frame[(size - k) % size] = (re_[k][f] + im_[k][f]) * scale;
      }
    }
  }

 private:
  audio::RealFft<Float4> fft_;
  std::vector<Float4> time_;
  std::vector<Float4> re_;
  std::vector<Float4> im_;
};

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
  auto window = static_cast<size_t>(window_);
  std::vector<float> dithers;
  if (dither > 0) {
    std::normal_distribution<float> gauss;
    dithers.resize(static_cast<size_t>(count) * window);
    std::generate(
        dithers.begin(), dithers.end(), [&] { return dither * gauss(noise); });
  }
  auto prepare = [&](int t, float* frame) {
    size_t begin = static_cast<size_t>(t) * static_cast<size_t>(hop_);
    size_t end = std::min(x.size(), begin + window);
    std::fill(frame, frame + padded, 0.0f);
    for (size_t i = begin; i < end; ++i) {
      frame[i - begin] = x[i] * kFullScale;
    }
    if (!dithers.empty()) {
      const float* d = dithers.data() + static_cast<size_t>(t) * window;
      std::transform(frame, frame + window, d, frame, std::plus<>());
    }
    prepare_frame(frame, window_, preemphasis_, taper_);
  };
  int width = 3 * mels_;
  std::vector<float> out(static_cast<size_t>(count) * width);
#pragma omp parallel
  {
    Transform transform(padded);
    std::vector<Float4> energy(transform.bins());
    std::vector<float> prepared(kFrames * padded);
#pragma omp for schedule(static)
    for (int t = 0; t < count; t += kFrames) {
      int some = std::min(kFrames, count - t);
      for (int f = 0; f < some; ++f) {
        prepare(t + f, prepared.data() + static_cast<size_t>(f) * padded);
      }
      transform.forward(prepared.data(), padded, some);
      for (size_t i = 0; i < energy.size(); ++i) {
        Float4 re = transform.re()[i];
        Float4 im = transform.im()[i];
        energy[i] = re * re + im * im;
      }
      for (int m = 0; m < mels_; ++m) {
        const auto& weights = weights_[static_cast<size_t>(m)];
        const auto* from = energy.data() + first_[static_cast<size_t>(m)];
        Float4 sum = {};
        for (size_t i = 0; i < weights.size(); ++i) {
          sum += weights[i] * from[i];
        }
        for (int f = 0; f < kFrames && t + f < count; ++f) {
          out[static_cast<size_t>(t + f) * width + m] =
              std::log(std::max(sum[f], std::numeric_limits<float>::epsilon()));
        }
      }
    }
  }
  deltas(out.data(), out.data() + mels_, count, mels_, width);
  deltas(out.data() + mels_, out.data() + 2 * mels_, count, mels_, width);
  return matrix(out, count, width);
}

// Overlap-add by blocks of samples: each block computes the frames that reach
// into it, so that no array of all frames is needed.
void Frontend::filter(
    std::span<const float> x,
    const Masks& masks,
    int first,
    int count,
    size_t begin,
    std::vector<float>& y) const {
  constexpr int kHops = 64;
  auto window = static_cast<size_t>(window_);
  int reach = (window_ - 1) / hop_; // frames before that overlap
  auto samples = static_cast<int64_t>(y.size());
  auto blocks = static_cast<int>((samples + kHops * hop_ - 1) / (kHops * hop_));
#pragma omp parallel
  {
    Transform transform(window);
    std::vector<float> frames(
        static_cast<size_t>(kHops + reach + kFrames) * window);
#pragma omp for schedule(static)
    for (int block = 0; block < blocks; ++block) {
      int from = std::max(first, block * kHops - reach);
      int to = std::min(first + count, (block + 1) * kHops);
      for (int t = from; t < to; t += kFrames) {
        filter_frames(
            x,
            masks,
            t,
            std::min(kFrames, to - t),
            transform,
            frames.data() + static_cast<size_t>(t - from) * window);
      }
      overlap_add(
          frames.data(),
          from,
          to,
          std::max<int64_t>(
              static_cast<int64_t>(block) * kHops * hop_,
              static_cast<int64_t>(begin)),
          std::min<int64_t>(
              samples, static_cast<int64_t>(block + 1) * kHops * hop_),
          y);
    }
  }
}

void Frontend::filter_frames(
    std::span<const float> x,
    const Masks& masks,
    int t,
    int count,
    Transform& transform,
    float* frames) const {
  auto window = static_cast<size_t>(window_);
  const float* rows[kFrames];
  for (int f = 0; f < kFrames; ++f) {
    int row = std::clamp(t + f - masks.first_frame, 0, masks.rows - 1);
    rows[f] = masks.data + static_cast<ptrdiff_t>(row) * masks.bins;
  }
  for (int f = 0; f < count; ++f) {
    size_t begin = static_cast<size_t>(t + f) * static_cast<size_t>(hop_);
    size_t end = std::clamp(x.size(), begin, begin + window);
    float* frame = frames + static_cast<size_t>(f) * window;
    for (size_t i = begin; i < end; ++i) {
      frame[i - begin] = x[i] * taper_[i - begin];
    }
    std::fill(frame + (end - begin), frame + window, 0.0f);
  }
  transform.forward(frames, window, count);
  for (size_t i = 0; i < transform.bins(); ++i) {
    Float4 gain = {rows[0][i], rows[1][i], rows[2][i], rows[3][i]};
    transform.re()[i] *= gain;
    transform.im()[i] *= gain;
  }
  transform.inverse(frames, window, count);
}

void Frontend::overlap_add(
    const float* frames,
    int first,
    int last,
    int64_t begin,
    int64_t end,
    std::vector<float>& y) const {
  for (int64_t i = begin; i < end; ++i) {
    float sum = 0;
    float square = 0;
    for (int64_t t = std::min<int64_t>(i / hop_, last - 1);
         t >= first && i - t * hop_ < window_;
         --t) {
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

std::vector<float> Frontend::resynthesize(
    std::span<const float> x,
    const mx::array& computed,
    Ends ends) const {
  auto mask = mx::contiguous(computed);
  mx::eval(mask);
  int count = mask.shape(0);
  auto hop = static_cast<size_t>(hop_);
  Masks masks{mask.data<float>(), count, mask.shape(1), 0};
  // Frames behind the last whole one, until one begins at the last sample.
  int extra = std::max(0, static_cast<int>((x.size() - 1) / hop) - count + 1);
  if (ends == Ends::smooth) {
    int before = (window_ - 1) / hop_;
    std::vector<float> padded(static_cast<size_t>(before) * hop, 0.0f);
    padded.insert(padded.end(), x.begin(), x.end());
    masks.first_frame = before;
    std::vector<float> y(padded.size());
    filter(padded, masks, 0, before + count + extra, 0, y);
    y.erase(y.begin(), y.begin() + before * hop_);
    return y;
  }
  std::vector<float> y(x.size(), 0.0f);
  filter(x, masks, 0, count, 0, y);
  size_t covered =
      static_cast<size_t>(count - 1) * hop + static_cast<size_t>(window_);
  if (ends == Ends::filled && covered < x.size()) {
    filter(x, masks, count, extra, covered, y);
  }
  return y;
}

} // namespace mlx_audio::mossformer2_se
