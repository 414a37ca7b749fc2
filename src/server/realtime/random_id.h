#pragma once

#include <string>

namespace mlx_audio::server {

/// `prefix` and 24 characters that nobody can guess (142 bits).
std::string random_id(const std::string& prefix);

} // namespace mlx_audio::server
