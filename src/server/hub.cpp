#include "server/hub.h"

namespace mlx_audio::server {

void Hub::add_closer(const void* who, std::function<void()> close) {
  std::lock_guard lock(mutex_);
  closers_[who] = std::move(close);
}

void Hub::remove_closer(const void* who) {
  std::lock_guard lock(mutex_);
  closers_.erase(who);
}

void Hub::close_web_sockets() {
  std::map<const void*, std::function<void()>> all;
  {
    std::lock_guard lock(mutex_);
    all = closers_;
  }
  for (const auto& [who, close] : all) {
    close();
  }
}

} // namespace mlx_audio::server
