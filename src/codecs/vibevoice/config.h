// The speech encoders of VibeVoice checkpoints, as config.json describes them.
#pragma once

#include <vector>

#include "nn/config_reader.h"

namespace mlx_audio::codecs::vibevoice {

struct EncoderConfig {
  int dim = 0; // of a latent frame
  int filters = 0; // channels of the first stage; each next one has twice them
  std::vector<int> strides; // between the stages, in their order
  std::vector<int> depths; // blocks of each stage; one more than strides
  float eps = 1e-5f;

  /// Samples of a frame.
  int hop() const;
};

/// Checks `acoustic_tokenizer_config` or `semantic_tokenizer_config`.
/// @throws Error corrupt_data for what there is no code for, too
EncoderConfig parse_encoder_config(const nn::ConfigReader& config);

} // namespace mlx_audio::codecs::vibevoice
