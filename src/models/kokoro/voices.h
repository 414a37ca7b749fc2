// Voice packs: for each number of phonemes a style vector.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mlx/mlx.h"
#include "mlx_audio/speech.h"

namespace mlx_audio::kokoro {

namespace mx = mlx::core;

/// Parts of a mix; weights sum to 1.
using VoiceMix = std::vector<std::pair<std::string, float>>;

/// "a", "a+b", "a,b", "a:0.7+b:0.3" to names and weights.
VoiceMix parse_voice_mix(const std::string& voice);

class Voices {
 public:
  Voices(std::string folder, int width);

  /// Ids of all voices, sorted.
  const std::vector<std::string>& ids() const {
    return ids_;
  }

  /// [rows, width]: the (mixed) pack. Throws invalid_argument with near names.
  mx::array pack(const VoiceMix& mix);

  static VoiceInfo describe(const std::string& id);

 private:
  mx::array load(const std::string& id);

  std::string folder_;
  int width_;
  std::vector<std::string> ids_;
  std::map<std::string, mx::array> loaded_; // all 54 are 28 MB
};

} // namespace mlx_audio::kokoro
