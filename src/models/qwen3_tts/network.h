// A Qwen3-TTS checkpoint: talker, speaker encoder and speech tokenizer.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "codecs/qwen3_tokenizer/tokenizer.h"
#include "models/qwen3_tts/config.h"
#include "models/qwen3_tts/speaker_encoder.h"
#include "models/qwen3_tts/talker.h"

namespace mlx_audio::qwen3_tts {

struct Network {
  /// Loads the checkpoint in `folder` in the original's layout or
  /// mlx-community's; `dtype` of the talker's weights is the checkpoint's if
  /// absent. Every tensor must be there, and no other.
  static std::unique_ptr<Network> load(
      const std::string& folder,
      std::optional<mx::Dtype> dtype = std::nullopt);

  Config config;
  GenerationConfig generation;
  Talker talker;
  std::optional<SpeakerEncoder> speaker_encoder; // base models have one
  std::unique_ptr<codecs::qwen3::Tokenizer> tokenizer;
  uint64_t weight_bytes = 0; // of the talker's file
};

} // namespace mlx_audio::qwen3_tts
