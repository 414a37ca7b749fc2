// Cuts one channel into windows, has each enhanced, and joins the results.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "mlx_audio/enhancement.h"
#include "models/mossformer2_se/frontend.h"

namespace mlx_audio::mossformer2_se {

/// Lengths in samples at the model's rate.
struct SegmentPlan {
  Segments mode = Segments::crossfade;
  int64_t window = 0; ///< of input that is enhanced at once
  int64_t step = 0; ///< from one window's end to the next one's
  /// crossfade: end of the first window. original, chunked: up to here the
  /// signal is enhanced whole.
  int64_t first = 0;
  int64_t lookahead = 0; ///< crossfade: end of a window that is not used
  int64_t fade = 0; ///< crossfade: length of the joint
  int64_t drop = 0; ///< original, chunked: what inner edges lose
};

class Segmenter {
 public:
  /// Enhances a window, with one of the ways to treat its ends.
  using Enhance =
      std::function<std::vector<float>(std::span<const float>, Frontend::Ends)>;

  Segmenter(const SegmentPlan& plan, Enhance enhance)
      : plan_(plan), enhance_(std::move(enhance)), next_(plan.first) {}

  void feed(std::span<const float> samples);
  void close() {
    closed_ = true;
  }
  /// Enhances at most one window; appends what is ready, in order. False if
  /// there is nothing to do.
  bool step(std::vector<float>& out);

  int64_t received() const {
    return total_;
  }

 private:
  bool step_crossfade(std::vector<float>& out);
  bool step_original(std::vector<float>& out);
  bool step_chunked(std::vector<float>& out);
  std::vector<float> run(int64_t begin, int64_t end, Frontend::Ends ends);
  void emit(
      const std::vector<float>& y,
      int64_t begin, // where y begins
      int64_t to,
      std::vector<float>& out);
  void forget(int64_t before);

  SegmentPlan plan_;
  Enhance enhance_;
  std::vector<float> buffer_; // the signal from base_ on
  int64_t base_ = 0;
  int64_t total_ = 0; // samples received
  int64_t next_; // crossfade: end of the next window; else its begin
  int64_t emitted_ = 0;
  std::vector<float> tail_; // crossfade: the joint, from the window before
  bool started_ = false; // original, chunked: longer than `first`
  bool closed_ = false;
  bool done_ = false;
};

} // namespace mlx_audio::mossformer2_se
