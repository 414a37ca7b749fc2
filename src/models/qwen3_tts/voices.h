// Voices taken from recordings, kept for the next request.
#pragma once

#include <memory>

#include "mlx_audio/speech.h"
#include "models/qwen3_tts/network.h"
#include "models/qwen3_tts/prompt.h"
#include "models/qwen3_tts/text_ids.h"
#include "models/reference_cache.h"

namespace mlx_audio::qwen3_tts {

struct Voice {
  mx::array speaker; // [hidden]
  /// In-context cloning: the recording as context, and what the speech
  /// tokenizer's decoder has left behind after it.
  std::optional<SpokenContext> context = {};
  codecs::qwen3::Decoder::State decoded = {};
  float last_sample = 0; // decoded from the context
};

class Voices {
 public:
  Voices(const Network& network, const TextIds& ids)
      : network_(network), ids_(ids) {}

  /// @throws Error invalid_argument for a recording that is too short, silent
  ///   or lacks its text, too_large for one that is too long.
  std::shared_ptr<const Voice> get(const VoiceReference& reference);

 private:
  std::shared_ptr<const Voice> make(const VoiceReference& reference) const;

  const Network& network_;
  const TextIds& ids_;
  ReferenceCache<Voice> recent_;
};

} // namespace mlx_audio::qwen3_tts
