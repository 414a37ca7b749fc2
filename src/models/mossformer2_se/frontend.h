// Signal to features, and mask to signal.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "mlx/mlx.h"
#include "models/mossformer2_se/config.h"

namespace mlx_audio::mossformer2_se {

namespace mx = mlx::core;

class Frontend {
 public:
  explicit Frontend(const Config& config);

  /// Whole frames in `samples`: at least 1, as short signals count as padded
  /// with zeros.
  int frames(size_t samples) const;

  /// Kaldi's log mel filter bank with deltas and their deltas (five points),
  /// of x in -1..1 -> [frames, 3 mels].
  mx::array features(
      std::span<const float> x,
      float dither,
      std::mt19937_64& noise) const;

  /// What the samples get that no whole frame covers, and the few at both ends
  /// that one frame alone covers with the small end of its window, where errors
  /// grow twelvefold.
  enum class Ends {
    upstream, ///< zeros; the few as they come
    filled, ///< as upstream, but the last mask instead of zeros
    smooth, ///< as many frames as all others, with the first and last masks
  };

  /// Masks x's spectrum and goes back, as long as x. `mask` [frames, bins].
  std::vector<float> resynthesize(
      std::span<const float> x,
      const mx::array& mask,
      Ends ends) const;

 private:
  class Transform;

  struct Masks {
    const float* data; // [rows, bins]
    int rows;
    int bins;
    int first_frame; // that row 0 belongs to; frames beyond have the nearest
  };

  /// Samples of y from `begin` on, as far as frames first .. first + count - 1
  /// of x reach.
  void filter(
      std::span<const float> x,
      const Masks& masks,
      int first,
      int count,
      size_t begin,
      std::vector<float>& y) const;
  void filter_frames(
      std::span<const float> x,
      const Masks& masks,
      int t,
      int count, // at most as many as a transform has
      Transform& transform,
      float* frames) const; // [count, window]
  void overlap_add(
      const float* frames, // [last - first, window]
      int first, // index of the first frame
      int last,
      int64_t begin, // samples to write
      int64_t end,
      std::vector<float>& y) const;

  int window_;
  int hop_;
  int mels_;
  int padded_; // transform size of the filter bank
  float preemphasis_;
  std::vector<float> taper_; // Hamming, symmetric, [window]
  // Triangles: bins first_[m] .. first_[m] + weights_[m].size() - 1.
  std::vector<int> first_;
  std::vector<std::vector<float>> weights_;
};

} // namespace mlx_audio::mossformer2_se
