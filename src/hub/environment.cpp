#include "hub/environment.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace mlx_audio::hub {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string user_cache() {
  std::string folder = environment("XDG_CACHE_HOME");
  if (!folder.empty()) {
    return folder;
  }
  std::string home = environment("HOME");
  return (home.empty() ? "." : home) + "/.cache";
}

bool environment_flag(const char* name) {
  std::string value = environment(name);
  std::transform(value.begin(), value.end(), value.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return value == "1" || value == "true" || value == "yes" || value == "on";
}

} // namespace mlx_audio::hub
