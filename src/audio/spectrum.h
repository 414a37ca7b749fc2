// Power spectra, mel filter banks and the log-mel spectra that models take and
// that tests compare audio by.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mlx_audio::audio {

/// 0.5 - 0.5 cos(2 pi i / n), or over n - 1 if not periodic.
std::vector<float> hann_window(size_t n, bool periodic = true);

struct FrameOptions {
  size_t n_fft = 400; ///< Samples of a frame.
  size_t hop = 160; ///< Samples between frames.
  std::vector<float> window; ///< [n_fft]; empty is the periodic Hann window.
  /// Put frame i around sample i * hop by reflecting n_fft / 2 samples at both
  /// ends, as torch.stft does. Otherwise frame i starts at sample i * hop.
  bool centre = false;
};

/// Frames of a signal: 1 + n / hop centred, else 1 + (n - n_fft) / hop or 0.
size_t frame_count(size_t samples, const FrameOptions& options);

/// |X|^2, [frames, n_fft / 2 + 1]. A centred signal needs more than n_fft / 2
/// samples; a shorter one throws invalid_argument.
std::vector<float> power_spectrum(
    std::span<const float> samples,
    const FrameOptions& options);

enum class MelScale { slaney, htk };

struct MelOptions {
  int sample_rate = 16000; ///< Hz
  size_t n_fft = 400;
  size_t bands = 80;
  double low_hz = 0;
  double high_hz = 0; ///< 0 is half the sample rate.
  MelScale scale = MelScale::slaney;
  /// Divide each triangle by half its width in Hz (librosa's norm="slaney").
  bool area_norm = true;
};

/// Triangular filters; each keeps only the bins where it is not zero.
class MelFilterbank {
 public:
  /// Equal steps on the mel scale, triangles over exact frequencies (librosa,
  /// torchaudio, OpenAI's whisper).
  explicit MelFilterbank(const MelOptions& options);

  size_t bands() const {
    return filters_.size();
  }
  size_t bins() const {
    return bins_;
  }
  /// power [bins] -> out [bands].
  void apply(const float* power, float* out) const;
  void apply(const double* power, double* out) const;
  /// [bands, bins]
  std::vector<float> dense() const;

  /// HTK mel steps, triangles between floored bins: the measure that the parity
  /// goldens use.
  static MelFilterbank
  between_bins(int sample_rate, size_t n_fft, size_t bands);

 private:
  struct Filter {
    size_t first;
    std::vector<float> weights;
  };
  MelFilterbank() = default;
  template <typename T>
  void apply_to(const T* power, T* out) const;

  size_t bins_ = 0;
  std::vector<Filter> filters_;
};

/// Mel energies, [frames, bands].
std::vector<float> mel_spectrum(
    std::span<const float> samples,
    const FrameOptions& options,
    const MelFilterbank& filterbank);

/// What OpenAI's Whisper models take: 16 kHz samples, followed by `padding`
/// zeros, to [bands, (samples + padding) / 160]. Bands are 80 or 128.
std::vector<float> whisper_log_mel(
    std::span<const float> samples,
    size_t bands = 80,
    size_t padding = 0);

struct LogMelDistance {
  double mean_difference = 0; ///< Of log10 mel power.
  double correlation = 0;
};

/// Compares two signals of one rate over the shorter one's length: 80 HTK mel
/// bands, frames of 1024 samples every 256, power floored at 1e-8.
LogMelDistance log_mel_distance(
    std::span<const float> a,
    std::span<const float> b,
    int sample_rate);

} // namespace mlx_audio::audio
