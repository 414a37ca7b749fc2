#include "server/downloads.h"

#include <utility>

namespace mlx_audio::server {

bool Downloads::start(std::function<void(std::stop_token)> work) {
  std::lock_guard lock(mutex_);
  running_.remove_if([](const Download& each) { return each.done; });
  if (running_.size() >= most) {
    return false;
  }
  Download& download = running_.emplace_back();
  download.thread = std::jthread(
      [this, &download, work = std::move(work)](std::stop_token stop) {
        work(std::move(stop));
        std::lock_guard ending(mutex_);
        download.done = true;
      });
  return true;
}

} // namespace mlx_audio::server
