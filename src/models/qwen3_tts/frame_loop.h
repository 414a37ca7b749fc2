// One step loop for all streams of a model: whoever wants a frame advances
// every request that is under way, and the others find theirs ready. Streams
// that are pulled in turn thus run as one batch, without knowing each other.
#pragma once

#include <deque>
#include <map>

#include "models/qwen3_tts/generator.h"

namespace mlx_audio::qwen3_tts {

class FrameLoop {
 public:
  FrameLoop(const Talker& talker, const Config& config)
      : generator_(talker, config) {}

  int add(Prompt prompt, const Settings& settings);
  void remove(int id);
  /// The request's next frame; after one that finishes it, it is gone.
  Generator::Frame next(int id);

  /// Steps so far, each of one or more requests.
  int steps() const {
    return steps_;
  }

 private:
  Generator generator_;
  std::map<int, std::deque<Generator::Frame>> ready_; // of each request
  int steps_ = 0;
};

} // namespace mlx_audio::qwen3_tts
