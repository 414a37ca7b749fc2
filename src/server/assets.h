// The web page and its parts, embedded at build time.
#pragma once

#include <span>
#include <string_view>

namespace mlx_audio::server {

struct Asset {
  std::string_view path; ///< "/", "/assets/index-abc.js"
  std::string_view type; ///< "text/html; charset=utf-8"
  std::string_view bytes;
  std::string_view zipped; ///< the same by gzip; empty if that gains nothing
  std::string_view etag; ///< with its quotes
};

/// All of them; empty in a build without the page.
std::span<const Asset> assets();

} // namespace mlx_audio::server
