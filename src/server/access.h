// Who may ask: keys, origins and host names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/exchange.h"
#include "server/options.h"

namespace mlx_audio::server {

class Access {
 public:
  /// @throws Error invalid_argument for a public address without a key, unless
  ///   told so.
  explicit Access(const ServerOptions& options);

  /// @throws ApiError 401 without one of the keys (`Authorization: Bearer`, or
  ///   a browser's WebSocket subprotocol).
  void check_key(const Request& request) const;
  /// Other keys that are good for some requests. Before the first request.
  void accept_also(
      std::function<bool(const Request& request, const std::string& key)> good);
  /// A page of another site must not use a server that only guards itself by
  /// being local. @throws ApiError 403 for a foreign `Origin` or `Host`.
  void check_origin(const Request& request) const;
  /// What lets a page of an allowed origin read the response.
  Headers cors(const Request& request) const;

 private:
  bool listed(const std::string& origin) const;

  const ServerOptions& options_;
  bool local_only_;
  std::function<bool(const Request&, const std::string&)> also_;
};

/// The key that a request gives; empty: none.
std::string key_of(const Request& request);

/// In a time that tells nothing about where they differ.
bool equal_in_constant_time(const std::string& a, const std::string& b);

/// Whether `address` is one of this machine's loopback addresses.
bool is_loopback(const std::string& address);

/// One key a line; empty lines and those with '#' first are left out.
/// @throws Error not_found, invalid_argument (none in it).
std::vector<std::string> read_keys(const std::string& path);

} // namespace mlx_audio::server
