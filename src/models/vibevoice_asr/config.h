// config.json and preprocessor_config.json of VibeVoice-ASR checkpoints.
#pragma once

#include <string>

#include "codecs/vibevoice/config.h"
#include "nn/decoder.h"

namespace mlx_audio::vibevoice_asr {

namespace mx = mlx::core;

struct Config {
  codecs::vibevoice::EncoderConfig acoustic;
  codecs::vibevoice::EncoderConfig semantic;
  nn::DecoderConfig decoder;
  int vocab = 0;
  bool tied = false; // logits by the table of embeddings
  int context = 0; // positions

  int sample_rate = 24000;
  bool normalize = true; // to a loudness
  double loudness = -25; // dBFS, root mean square
  double eps = 1e-6;

  // Streaming checkpoints: frames that a chunk adds, and that are heard after
  // it. 0: the checkpoint hears all at once.
  int chunk_frames = 0;
  int lookahead_frames = 0;

  bool streaming() const {
    return chunk_frames > 0;
  }
  /// Samples of a frame.
  int hop() const {
    return acoustic.hop();
  }
};

/// @param preprocessor the object of preprocessor_config.json, or null.
Config parse_config(
    const nlohmann::json& config,
    const nlohmann::json& preprocessor);

/// Reads and checks both files in `folder`; the second may be missing.
Config read_config(const std::string& folder);

} // namespace mlx_audio::vibevoice_asr
