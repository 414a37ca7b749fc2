// One HTTP request by libcurl: no redirect is followed, nothing is repeated and
// no credential is added here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::hub {

struct HttpResponse {
  long status = 0; ///< 0: there was no whole answer, see `failure`
  std::map<std::string, std::string> headers; ///< lower-case names
  std::string body;
  std::string failure; ///< what went wrong with the transfer, or empty
  bool unreachable = false; ///< no connection was made
  bool stopped = false; ///< by `sink`
  bool cancelled = false; ///< by `cancelled`

  /// Empty if there is none.
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string url; ///< http or https
  std::string method = "GET"; ///< or HEAD
  std::vector<std::string> headers; ///< "Name: value"
  uint64_t body_limit = uint64_t{64} << 20; ///< of `body`, in bytes
  /// Takes the body of a 2xx answer in pieces instead of `body`, with the
  /// answer's status and headers; false ends the transfer.
  std::function<bool(const HttpResponse&, std::string_view)> sink;
  std::function<bool()> cancelled;
};

HttpResponse http_request(const HttpRequest& request);

/// Scheme, host and port; empty for anything but http(s)://HOST...
std::string origin_of(const std::string& url);

/// `location` as seen from `base`; empty if it is no http(s) URL.
std::string resolve_url(const std::string& base, const std::string& location);

/// Percent-encodes all but unreserved characters and `keep`.
std::string url_encode(const std::string& text, std::string_view keep = "");

} // namespace mlx_audio::hub
