// A WebSocket as a session sees it: messages in, messages out. The connection
// is made by the router after key, origin and limits were checked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "server/exchange.h"

namespace mlx_audio::server {

/// The client's side of a session. May be used from any thread; after the
/// client has gone it does nothing.
class WebSocketPeer {
 public:
  virtual ~WebSocketPeer() = default;
  virtual void send_text(std::string message) = 0;
  virtual void send_binary(std::string message) = 0;
  /// Sends what is left, then closes. @param code 1000 normal, 1008 policy,
  ///   1011 internal error, ...
  virtual void close(uint16_t code, const std::string& reason) = 0;
  /// While true no message is read: the client waits. On the strand.
  virtual void pause_reading(bool paused) = 0;
  /// Runs `work` on the connection's strand, where the session's functions run.
  virtual void post(std::function<void()> work) = 0;
};

/// One client's session. Its functions are called on the connection's strand,
/// one at a time. A client that does not read is closed by the connection.
class WebSocketSession {
 public:
  virtual ~WebSocketSession() = default;
  virtual void on_open() {}
  virtual void on_text(std::string_view message) = 0;
  virtual void on_binary(std::span<const uint8_t> message) = 0;
  /// The client has gone, or the server stops; nothing follows.
  virtual void on_close() {}
};

/// Makes the session of one client. Throws ApiError to refuse the upgrade.
using WebSocketRoute = std::function<std::unique_ptr<WebSocketSession>(
    const Request& request,
    std::shared_ptr<WebSocketPeer> peer)>;

} // namespace mlx_audio::server
