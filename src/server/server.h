// The HTTP and WebSocket server over an engine of its own.
#pragma once

#include <cstdint>
#include <memory>

#include "server/options.h"

namespace mlx_audio::server {

class Server {
 public:
  /// Binds and loads nothing yet. @throws Error invalid_argument, io (the port
  ///   is taken).
  explicit Server(ServerOptions options);
  /// Stops now.
  ~Server();

  /// The port that it listens on.
  uint16_t port() const;
  Engine& engine();

  /// Loads what is to be preloaded and serves until stop() has ended, or a
  /// signal: the first SIGINT or SIGTERM drains, the second ends the process.
  void run();
  /// Refuses new requests, waits for the others, then ends run(). From any
  /// thread.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlx_audio::server
