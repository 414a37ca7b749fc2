#include "models/qwen3_tts/frame_loop.h"

#include <stdexcept>

namespace mlx_audio::qwen3_tts {

namespace {

// Frames that a request may be ahead of its stream: two seconds, so that one
// that nobody pulls does not run on.
constexpr size_t kAhead = 25;

} // namespace

int FrameLoop::add(Prompt prompt, const Settings& settings) {
  int id = generator_.add(std::move(prompt), settings);
  ready_[id];
  return id;
}

void FrameLoop::remove(int id) {
  generator_.remove(id);
  ready_.erase(id);
}

Generator::Frame FrameLoop::next(int id) {
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

} // namespace mlx_audio::qwen3_tts
