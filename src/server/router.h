// From method and path to a handler. A route is one line in routes/routes.cpp.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/exchange.h"
#include "server/websocket.h"

namespace mlx_audio::server {

/// Called on the connection's strand once the body is there. ApiError and Error
/// that it throws become the response.
using Handler = std::function<void(const ExchangePtr&)>;

struct Route {
  std::string method;
  /// "/v1/models", or with "*" at the end or before a last part:
  /// "/v1/models/*", "/v1/models/*/load". The star stands for one or more parts
  /// with slashes between them.
  std::string pattern;
  Handler handler = {};
  /// Bytes that the body may have; 0: none is wanted.
  size_t max_body = 0;
  /// Answers without a key: health, the page and its parts.
  bool open = false;
};

class Router {
 public:
  void add(Route route);
  void add_web_socket(const std::string& path, WebSocketRoute route);

  struct Match {
    const Route* route = nullptr;
    std::string rest; ///< what the star stands for
    /// Methods of routes with this path, if none has the method asked for.
    std::string allowed;
  };
  /// HEAD finds GET's routes.
  Match find(const std::string& method, const std::string& path) const;
  const WebSocketRoute* find_web_socket(const std::string& path) const;

 private:
  std::vector<Route> routes_;
  std::map<std::string, WebSocketRoute> web_sockets_;
};

/// "/a%20b?x=1" as path and query. @throws ApiError 400 for a bad target.
void parse_target(std::string_view target, Request& request);

} // namespace mlx_audio::server
