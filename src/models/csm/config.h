// config.json and generation_config.json of CSM checkpoints.
#pragma once

#include <string>

#include "codecs/mimi/config.h"
#include "nn/config_reader.h"
#include "nn/decoder.h"

namespace mlx_audio::csm {

/// What generation_config.json says; the defaults are the original's.
struct GenerationConfig {
  bool do_sample = true;
  float temperature = 0.9f;
  int top_k = 50;
  bool depth_do_sample = true;
  float depth_temperature = 0.9f;
  int depth_top_k = 50;
};

struct Config {
  nn::DecoderConfig backbone;
  nn::DecoderConfig depth;
  int text_vocab = 0;
  int vocab = 0; // codes of a codebook and a few that are no sound
  int groups = 0; // codebooks
  int context = 0; // positions
  codecs::mimi::Config codec;

  /// Texts are "[0] Hello", not "[0]Hello".
  bool speaker_prefix_space = false;
  /// Texts begin and end as tokenizer.json says, not with the begin and end
  /// tokens: checkpoints with `text_tokenizer` (Marvis, Miso).
  bool own_text_template = false;
  /// The new text goes on from the reference's, as one segment.
  bool voice_match = false;
  bool use_default_voice = true;
};

/// Reads and checks `folder`/config.json.
Config read_config(const std::string& folder);
Config parse_config(const nlohmann::json& json);

/// Reads `folder`/generation_config.json; the defaults if it is not there.
GenerationConfig read_generation_config(const std::string& folder);

} // namespace mlx_audio::csm
