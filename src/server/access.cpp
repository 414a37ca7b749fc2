#include "server/access.h"

#include <algorithm>
#include <cctype>
#include <fstream>

namespace mlx_audio::server {

namespace {

constexpr std::string_view protocol_key = "openai-insecure-api-key.";

// "localhost:8000" -> "localhost", "[::1]:8000" -> "::1"
std::string host_of(std::string authority) {
  if (!authority.empty() && authority[0] == '[') {
    auto end = authority.find(']');
    return end == std::string::npos ? "" : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool is_address(const std::string& host) {
  return !host.empty() &&
      host.find_first_not_of("0123456789abcdefABCDEF.:") == std::string::npos &&
      (host.find(':') != std::string::npos ||
       host.find_first_not_of("0123456789.") == std::string::npos);
}

} // namespace

std::string key_of(const Request& request) {
  std::string value = request.header("authorization");
  if (value.size() > 7) {
    std::string scheme = value.substr(0, 7);
    std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    if (scheme == "bearer ") {
      return value.substr(7);
    }
  }
  std::string protocols = request.header("sec-websocket-protocol");
  auto at = protocols.find(protocol_key);
  if (at == std::string::npos) {
    return "";
  }
  at += protocol_key.size();
  return protocols.substr(at, protocols.find_first_of(", ", at) - at);
}

bool equal_in_constant_time(const std::string& a, const std::string& b) {
  // The loop's length depends on `a`, what the client sent, alone.
  unsigned char different = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    char other = b.empty() ? '\0' : b[i % b.size()];
    different = static_cast<unsigned char>(
        different | static_cast<unsigned char>(a[i] ^ other));
  }
  return different == 0;
}

bool is_loopback(const std::string& address) {
  return address == "localhost" || address == "::1" ||
      address.rfind("127.", 0) == 0;
}

std::vector<std::string> read_keys(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw Error(ErrorKind::not_found, "cannot read the keys in '" + path + "'");
  }
  std::vector<std::string> keys;
  std::string line;
  while (std::getline(file, line)) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
    if (!line.empty() && line[0] != '#') {
      keys.push_back(line);
    }
  }
  if (keys.empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + path + "' holds no keys",
        "write one a line");
  }
  return keys;
}

Access::Access(const ServerOptions& options)
    : options_(options),
      local_only_(is_loopback(options.host) && options.api_keys.empty()) {
  if (!is_loopback(options.host) && options.api_keys.empty() &&
      !options.insecure) {
    throw Error(
        ErrorKind::invalid_argument,
        "--host " + options.host + " lets others in, and there is no key",
        "give --api-key or --api-key-file, or --insecure if a proxy guards it");
  }
  for (const auto& key : options.api_keys) {
    if (key.empty()) {
      throw Error(ErrorKind::invalid_argument, "an API key is empty");
    }
  }
}

void Access::check_key(const Request& request) const {
  if (options_.api_keys.empty()) {
    return;
  }
  std::string given = key_of(request);
  bool good = false;
  for (const auto& key : options_.api_keys) {
    good = equal_in_constant_time(given, key) || good;
  }
  if (!good && also_) {
    good = also_(request, given);
  }
  if (!good) {
    throw ApiError(
        401,
        given.empty() ? "no API key: send it as 'Authorization: Bearer KEY'"
                      : "the API key is not valid",
        "",
        "invalid_api_key");
  }
}

void Access::accept_also(
    std::function<bool(const Request&, const std::string&)> good) {
  also_ = std::move(good);
}

bool Access::listed(const std::string& origin) const {
  const auto& list = options_.allowed_origins;
  return std::find(list.begin(), list.end(), "*") != list.end() ||
      std::find(list.begin(), list.end(), origin) != list.end();
}

void Access::check_origin(const Request& request) const {
  std::string authority = request.header("host");
  if (local_only_) {
    std::string host = host_of(authority);
    const auto& names = options_.allowed_hosts;
    if (!host.empty() && host != "localhost" && !is_address(host) &&
        std::find(names.begin(), names.end(), host) == names.end()) {
      throw ApiError(
          403,
          "this server is not called '" + host.substr(0, 100) +
              "': start it with --allowed-host to use that name",
          "",
          "host_not_allowed");
    }
  }
  std::string origin = request.header("origin");
  if (origin.empty() || listed(origin)) {
    return;
  }
  auto scheme = origin.find("://");
  if (scheme != std::string::npos && origin.substr(scheme + 3) == authority) {
    return;
  }
  throw ApiError(
      403,
      "pages of '" + origin.substr(0, 100) +
          "' may not use this server: start it with --allowed-origins",
      "",
      "origin_not_allowed");
}

Headers Access::cors(const Request& request) const {
  std::string origin = request.header("origin");
  if (origin.empty() || !listed(origin)) {
    return {};
  }
  return {
      {"access-control-allow-origin", origin},
      {"vary", "origin"},
      {"access-control-expose-headers",
       "x-request-id, x-sample-rate, retry-after"}};
}

} // namespace mlx_audio::server
