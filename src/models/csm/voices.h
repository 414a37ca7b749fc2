// Voices taken from recordings, given or of the checkpoint's folder prompts/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mlx_audio/speech.h"
#include "models/csm/network.h"
#include "models/reference_cache.h"

namespace mlx_audio::csm {

struct Voice {
  std::string text; // what is said in the recording
  mx::array codes; // [frames, groups]
};

class Voices {
 public:
  Voices(const Network& network, const std::string& folder);

  /// The built-in voices: prompts/NAME.wav with its words in prompts/NAME.txt.
  const std::vector<std::string>& names() const {
    return names_;
  }
  /// The voice that is taken where none is asked for; empty if it is not there.
  std::string default_name() const;

  /// @throws Error invalid_argument for an unknown name, corrupt_data for a
  ///   voice without its text.
  std::shared_ptr<const Voice> built_in(const std::string& name);

  /// @throws Error invalid_argument for a recording that is too short, silent
  ///   or lacks its text, too_large for one that is too long.
  std::shared_ptr<const Voice> get(const VoiceReference& reference);

 private:
  const Network& network_;
  std::string folder_; // prompts/
  std::vector<std::string> names_; // sorted
  ReferenceCache<Voice> recent_;
};

} // namespace mlx_audio::csm
