// Log-mel features as OpenAI's whisper computes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mlx/mlx.h"

namespace mlx_audio::whisper {

namespace mx = mlx::core;

/// Triangular filters on the Slaney scale with unit area for 16 kHz and a
/// 400-point transform: [n_mels, 201].
std::vector<float> mel_filters(int n_mels);

/// Mel power in log10, floored at -10, not yet normalized.
class LogMel {
 public:
  explicit LogMel(int n_mels);

  /// Frames `first` .. `first + count` of a signal of 16 kHz of which
  /// `samples` begin at sample `offset`: [count, n_mels]. Samples before the
  /// signal reflect it, those after it are silence; samples of the signal that
  /// are not in `samples` must not be needed (200 on both sides of a frame's
  /// centre, 160 x frame).
  mx::array frames(
      std::span<const float> samples,
      int64_t offset,
      int64_t first,
      int64_t count) const;

  int n_mels() const {
    return n_mels_;
  }

 private:
  int n_mels_;
  mx::array window_; // [400]
  mx::array filters_; // [n_mels, 201]
};

/// Clamps to 8 below `maximum` (log10 of the whole signal's loudest value) and
/// scales: what the encoder takes.
mx::array normalize_log_mel(const mx::array& log_mel, float maximum);

} // namespace mlx_audio::whisper
