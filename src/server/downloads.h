// Downloads from the Hub that clients asked for: each has a thread of its own,
// because it waits for the network and not for the engine.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>

namespace mlx_audio::server {

class Downloads {
 public:
  static constexpr size_t most = 2; ///< at once

  /// Runs `work` unless `most` are running already; false then. `work` must
  /// return soon after a stop is requested, and must not throw. The destructor
  /// stops and awaits all.
  bool start(std::function<void(std::stop_token)> work);

 private:
  struct Download {
    bool done = false;
    std::jthread thread;
  };
  std::mutex mutex_;
  std::list<Download> running_;
};

} // namespace mlx_audio::server
