// Keys that a page may hold: short-lived, for realtime sessions only, with the
// settings that the session begins with.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "server/realtime/session_config.h"

namespace mlx_audio::server {

struct ClientSecret {
  std::string value; ///< "ek_" and letters
  int64_t expires_at = 0; ///< seconds since 1970
  SessionConfig config;
};

/// Safe from any thread.
class ClientSecrets {
 public:
  static constexpr size_t most = 10000;

  /// @throws ApiError 429 if there are too many.
  ClientSecret make(SessionConfig config, int64_t now, int64_t seconds);
  /// Nothing if there is no such key or it has expired.
  std::optional<SessionConfig> find(const std::string& value, int64_t now)
      const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, ClientSecret> secrets_;
};

} // namespace mlx_audio::server
