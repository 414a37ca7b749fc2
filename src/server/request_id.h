#pragma once

#include <string>

namespace mlx_audio::server {

/// A name for a request, for logs: "req_" and 24 hexadecimal digits.
std::string new_request_id();

} // namespace mlx_audio::server
