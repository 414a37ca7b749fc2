// What is decided about a request once its header is there: who may ask, for
// what, and how much the body may hold.
#pragma once

#include <optional>
#include <string_view>

#include "server/http_exchange.h"
#include "server/hub.h"

namespace mlx_audio::server {

struct RequestHead {
  std::string_view target;
  bool is_upgrade = false; ///< to a WebSocket
  std::optional<uint64_t> content_length = {};
};

struct Admission {
  const WebSocketRoute* web_socket = nullptr; ///< for an upgrade; else `route`
  const Route* route = nullptr;
  size_t max_body = 0; ///< bytes
};

/// Fills in the request's path and the exchange's route and headers. Nothing
/// for a preflight, which it answers. @throws ApiError for what is refused.
std::optional<Admission>
admit(const RequestHead& head, const Hub& hub, HttpExchange& exchange);

} // namespace mlx_audio::server
