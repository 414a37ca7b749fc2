// Voices that clients have uploaded, for models that imitate a recording. They
// live in memory only and end with the server.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mlx_audio/speech.h"

namespace mlx_audio::server {

struct UploadedVoice {
  std::string id; ///< "voice_" and letters
  std::string name;
  int64_t created = 0; ///< seconds since 1970
  VoiceReference reference;
};

class VoiceShelf {
 public:
  static constexpr size_t most = 100;

  /// Gives it an id. @throws ApiError 409 for a name that is taken, 429 if
  ///   there are too many.
  UploadedVoice add(UploadedVoice voice);
  /// By id or name.
  std::optional<UploadedVoice> find(const std::string& id) const;
  bool remove(const std::string& id);
  std::vector<UploadedVoice> list() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, UploadedVoice> voices_;
};

} // namespace mlx_audio::server
