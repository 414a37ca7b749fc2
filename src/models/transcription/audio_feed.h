// The sound of one request at one rate, mono, read forward at flat memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mlx_audio/transcription.h"

namespace mlx_audio {

class AudioFeed {
 public:
  /// @throws Error as AudioReader, invalid_argument if the request names no
  ///   source or more than one.
  AudioFeed(const TranscriptionRequest& request, int sample_rate);

  /// Reads all of the sound once, in blocks, if the source can be read again
  /// (a file or memory, not a pipe); false if it cannot. Afterwards total() is
  /// known.
  bool scan(const std::function<void(std::span<const float>)>& block);

  /// Sound from sample `from` to at most `to`, shorter at the end. What lies
  /// before `from` is forgotten, but not what keep_from() holds.
  std::span<const float> window(int64_t from, int64_t to);

  /// Sound from this sample on may be asked for again.
  void keep_from(int64_t sample) {
    keep_ = sample;
  }

  /// Samples of the whole sound: known if complete(), else what has been read.
  int64_t total() const {
    return total_;
  }
  bool complete() const {
    return complete_;
  }
  std::string warning() const;

 private:
  std::unique_ptr<AudioReader> open() const;

  TranscriptionRequest request_;
  bool pipe_ = false;
  std::vector<float> samples_; // a signal in memory, or the window of a file
  int64_t offset_ = 0; // of samples_[0]
  int64_t keep_ = int64_t{1} << 60;
  bool in_memory_ = false;
  std::unique_ptr<AudioReader> reader_;
  int64_t total_ = 0;
  bool complete_ = false;
};

} // namespace mlx_audio
