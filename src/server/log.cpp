#include "server/log.h"

#include <atomic>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace mlx_audio::server {

namespace {

std::atomic<bool> json_lines = false;

spdlog::logger& logger() {
  static auto made = [] {
    auto logger = spdlog::stderr_color_mt("mlx-audio");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    logger->flush_on(spdlog::level::info);
    return logger;
  }();
  return *made;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::info:
      break;
  }
  return spdlog::level::info;
}

} // namespace

void set_up_log(const std::string& level, bool as_json) {
  json_lines = as_json;
  if (as_json) {
    logger().set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})");
  }
  logger().set_level(spdlog::level::from_str(level));
}

void log(LogLevel level, const std::string& event, const Json& fields) {
  auto at = spdlog_level(level);
  if (!logger().should_log(at)) {
    return;
  }
  std::string line;
  if (json_lines) {
    Json object = {{"event", event}};
    object.update(fields);
    line = dump(object);
    line = line.substr(1, line.size() - 2); // the pattern has the braces
  } else {
    line = event;
    for (const auto& [name, value] : fields.items()) {
      line += " " + name + "=" + dump(value);
    }
  }
  logger().log(at, spdlog::string_view_t(line.data(), line.size()));
}

} // namespace mlx_audio::server
