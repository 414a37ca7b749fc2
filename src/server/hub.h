// What connections share.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "server/access.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/router.h"

namespace mlx_audio::server {

struct Hub {
  Hub(const ServerOptions& server_options,
      const Router& routes,
      const Access& guard,
      Metrics& counters)
      : options(server_options),
        router(routes),
        access(guard),
        metrics(counters) {}

  const ServerOptions& options;
  const Router& router;
  const Access& access;
  Metrics& metrics;
  std::atomic<size_t> connections = 0;
  std::atomic<size_t> web_sockets = 0;
  std::atomic<size_t> upload_bytes = 0;
  std::atomic<bool> draining = false;

  /// Functions that close WebSockets, for the end.
  void add_closer(const void* who, std::function<void()> close);
  void remove_closer(const void* who);
  void close_web_sockets();

 private:
  std::mutex mutex_;
  std::map<const void*, std::function<void()>> closers_;
};

} // namespace mlx_audio::server
