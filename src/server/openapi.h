#pragma once

#include <string_view>

namespace mlx_audio::server {

/// The description of our API, openapi.json.
std::string_view openapi();

} // namespace mlx_audio::server
