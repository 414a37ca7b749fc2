// Structured logs on standard error: one line an event, as text for people or
// as JSON for collectors.
#pragma once

#include <string>

#include "server/json.h"

namespace mlx_audio::server {

enum class LogLevel { debug, info, warning, error };

/// @param level "debug", "info", "warning", "error" or "off"
/// @param as_json one JSON object a line
void set_up_log(const std::string& level, bool as_json);

/// e.g. log(LogLevel::info, "request", {{"status", 200}}). Never text that
/// clients said or want said, nor keys.
void log(LogLevel level, const std::string& event, const Json& fields);

} // namespace mlx_audio::server
