#include "server/router.h"

#include <algorithm>

namespace mlx_audio::server {

namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
      if (high < 0 || low < 0 || high * 16 + low == 0) {
        throw ApiError(400, "the address has a '%' that is no character");
      }
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

bool matches(
    const std::string& pattern,
    const std::string& path,
    std::string& rest) {
  auto star = pattern.find('*');
  if (star == std::string::npos) {
    return pattern == path;
  }
  size_t tail = pattern.size() - star - 1;
  if (path.size() <= star + tail ||
      path.compare(0, star, pattern, 0, star) != 0 ||
      path.compare(path.size() - tail, tail, pattern, star + 1, tail) != 0) {
    return false;
  }
  rest = path.substr(star, path.size() - star - tail);
  return rest.back() != '/' && rest.front() != '/';
}

} // namespace

std::string Request::header(const std::string& name) const {
  auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<std::string> Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) {
      return value;
    }
  }
  return {};
}

void Router::add(Route route) {
  routes_.push_back(std::move(route));
}

void Router::add_web_socket(const std::string& path, WebSocketRoute route) {
  web_sockets_[path] = std::move(route);
}

Router::Match Router::find(const std::string& method, const std::string& path)
    const {
  Match match;
  const std::string& wanted = method == "HEAD" ? "GET" : method;
  for (const auto& route : routes_) {
    std::string rest;
    if (!matches(route.pattern, path, rest)) {
      continue;
    }
    if (route.method == wanted) {
      match.route = &route;
      match.rest = rest;
      return match;
    }
    if (match.allowed.find(route.method) == std::string::npos) {
      match.allowed += (match.allowed.empty() ? "" : ", ") + route.method;
    }
  }
  return match;
}

const WebSocketRoute* Router::find_web_socket(const std::string& path) const {
  auto found = web_sockets_.find(path);
  return found == web_sockets_.end() ? nullptr : &found->second;
}

void parse_target(std::string_view target, Request& request) {
  auto fragment = target.find('#');
  target = target.substr(0, fragment);
  auto mark = target.find('?');
  request.path = decode(target.substr(0, mark), false);
  if (request.path.empty() || request.path[0] != '/') {
    throw ApiError(400, "the address must begin with '/'");
  }
  request.query.clear();
  if (mark == std::string_view::npos) {
    return;
  }
  auto query = target.substr(mark + 1);
  while (!query.empty()) {
    auto end = std::min(query.find('&'), query.size());
    auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    auto equals = std::min(pair.find('='), pair.size());
    if (!pair.empty()) {
      request.query.emplace_back(
          decode(pair.substr(0, equals), true),
          decode(pair.substr(std::min(equals + 1, pair.size())), true));
    }
  }
}

} // namespace mlx_audio::server
