// Server-sent events, as OpenAI sends them: `data:` lines of JSON, no names.
#pragma once

#include <string>

#include "server/json.h"

namespace mlx_audio::server {

inline constexpr const char* kEventStream = "text/event-stream";

inline std::string event(const Json& value) {
  return "data: " + dump(value) + "\n\n";
}

} // namespace mlx_audio::server
