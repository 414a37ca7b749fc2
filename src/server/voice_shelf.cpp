#include "server/voice_shelf.h"

#include <chrono>

#include "server/api_error.h"
#include "server/request_id.h"

namespace mlx_audio::server {

UploadedVoice VoiceShelf::add(UploadedVoice voice) {
  std::lock_guard lock(mutex_);
  if (voices_.size() >= most) {
    throw ApiError(
        429,
        "there are " + std::to_string(most) +
            " uploaded voices already: delete one first");
  }
  for (const auto& [id, other] : voices_) {
    if (other.name == voice.name) {
      throw ApiError(
          409, "there is a voice '" + voice.name + "' already", "name");
    }
  }
  voice.id = "voice_" + new_request_id().substr(4);
  voice.created = std::chrono::duration_cast<std::chrono::seconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  voices_[voice.id] = voice;
  return voice;
}

std::optional<UploadedVoice> VoiceShelf::find(const std::string& id) const {
  std::lock_guard lock(mutex_);
  for (const auto& [key, voice] : voices_) {
    if (key == id || voice.name == id) {
      return voice;
    }
  }
  return {};
}

bool VoiceShelf::remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  return voices_.erase(id) > 0;
}

std::vector<UploadedVoice> VoiceShelf::list() const {
  std::lock_guard lock(mutex_);
  std::vector<UploadedVoice> all;
  for (const auto& [id, voice] : voices_) {
    all.push_back(voice);
  }
  return all;
}

} // namespace mlx_audio::server
