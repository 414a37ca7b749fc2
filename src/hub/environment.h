#pragma once

#include <string>

namespace mlx_audio::hub {

/// Value of an environment variable, empty if it is not set.
std::string environment(const char* name);

/// ${XDG_CACHE_HOME:-~/.cache}.
std::string user_cache();

/// Whether a variable is set to 1, true, yes or on.
bool environment_flag(const char* name);

} // namespace mlx_audio::hub
