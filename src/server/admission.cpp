#include "server/admission.h"

#include <algorithm>

namespace mlx_audio::server {

namespace {

bool is_preflight(const Request& request) {
  return request.method == "OPTIONS" &&
      !request.header("access-control-request-method").empty();
}

void answer_preflight(HttpExchange& exchange) {
  exchange.route = "preflight";
  exchange.respond(
      {.status = 204,
       .headers = {
           {"access-control-allow-methods", "GET, POST, DELETE, OPTIONS"},
           {"access-control-allow-headers",
            exchange.request().header("access-control-request-headers")},
           {"access-control-max-age", "600"}}});
}

Admission admit_web_socket(const Hub& hub, HttpExchange& exchange) {
  const Request& request = exchange.request();
  hub.access.check_key(request);
  const auto* route = hub.router.find_web_socket(request.path);
  if (route == nullptr) {
    throw ApiError(404, "no WebSocket at '" + request.path + "'");
  }
  exchange.route = request.path;
  return {.web_socket = route};
}

} // namespace

std::optional<Admission>
admit(const RequestHead& head, const Hub& hub, HttpExchange& exchange) {
  Request& request = exchange.request();
  parse_target(head.target, request);
  hub.access.check_origin(request);
  exchange.extra = hub.access.cors(request);
  if (is_preflight(request)) {
    answer_preflight(exchange);
    return std::nullopt;
  }
  if (head.is_upgrade) {
    return admit_web_socket(hub, exchange);
  }
  auto match = hub.router.find(request.method, request.path);
  if (match.route == nullptr) {
    hub.access.check_key(request);
    if (match.allowed.empty()) {
      throw ApiError(
          404, "there is nothing at '" + request.path.substr(0, 200) + "'");
    }
    exchange.extra.emplace_back("allow", match.allowed);
    throw ApiError(
        405, request.path.substr(0, 200) + " takes " + match.allowed + " only");
  }
  exchange.route = match.route->pattern;
  request.rest = match.rest;
  if (!match.route->open) {
    hub.access.check_key(request);
  }
  size_t most = std::max<size_t>(match.route->max_body, 4096);
  if (head.content_length && *head.content_length > most) {
    throw ApiError(
        413, "the body is larger than " + std::to_string(most) + " bytes");
  }
  return Admission{.route = match.route, .max_body = most};
}

} // namespace mlx_audio::server
