// One step loop for all streams of a model that speaks in frames of codes:
// whoever wants a frame advances every request that is under way, and the
// others find theirs ready. Streams that are pulled in turn thus run as one
// batch, without knowing each other.
#pragma once

#include <deque>
#include <map>
#include <stdexcept>
#include <utility>

namespace mlx_audio {

enum class Finish {
  none, ///< more frames may follow
  stop, ///< the model said that it is done
  length, ///< the most frames or the model's context was reached
};

/// @tparam Generator has add(), remove(), step() and Frame as
///   qwen3_tts::Generator has them
template <class Generator>
class FrameLoop {
 public:
  using Frame = Generator::Frame;

  template <class... Arguments>
  explicit FrameLoop(Arguments&&... arguments)
      : generator_(std::forward<Arguments>(arguments)...) {}

  /// As the generator's.
  template <class... Arguments>
  int add(Arguments&&... arguments) {
    int id = generator_.add(std::forward<Arguments>(arguments)...);
    ready_[id];
    return id;
  }

  void remove(int id) {
    generator_.remove(id);
    ready_.erase(id);
  }

  /// The request's next frame; after one that finishes it, it is gone.
  Frame next(int id) {
    auto& frames = ready_.at(id);
    if (frames.empty()) {
      auto made = generator_.step([&](int other) {
        return other == id || ready_.at(other).size() < kAhead;
      });
      ++steps_;
      for (auto& frame : made) {
        ready_.at(frame.id).push_back(std::move(frame));
      }
    }
    if (frames.empty()) {
      throw std::logic_error("[FrameLoop] the request has ended.");
    }
    auto frame = std::move(frames.front());
    frames.pop_front();
    if (frame.finish != Finish::none) {
      ready_.erase(id);
    }
    return frame;
  }

  /// Steps so far, each of one or more requests.
  int steps() const {
    return steps_;
  }

 private:
  // Frames that a request may be ahead of its stream: two seconds, so that one
  // that nobody pulls does not run on.
  static constexpr size_t kAhead = 25;

  Generator generator_;
  std::map<int, std::deque<Frame>> ready_; // of each request
  int steps_ = 0;
};

} // namespace mlx_audio
