#include "server/realtime/client_secrets.h"

#include "server/realtime/random_id.h"

namespace mlx_audio::server {

ClientSecret
ClientSecrets::make(SessionConfig config, int64_t now, int64_t seconds) {
  std::lock_guard lock(mutex_);
  if (secrets_.size() >= most) {
    std::erase_if(secrets_, [now](const auto& kept) {
      return kept.second.expires_at <= now;
    });
  }
  if (secrets_.size() >= most) {
    throw ApiError(
        429,
        "there are too many client secrets: wait until some have expired",
        "",
        "rate_limit_exceeded");
  }
  ClientSecret secret{random_id("ek_"), now + seconds, std::move(config)};
  secrets_[secret.value] = secret;
  return secret;
}

std::optional<SessionConfig> ClientSecrets::find(
    const std::string& value,
    int64_t now) const {
  std::lock_guard lock(mutex_);
  auto found = secrets_.find(value);
  if (found == secrets_.end() || found->second.expires_at <= now) {
    return {};
  }
  return found->second.config;
}

} // namespace mlx_audio::server
