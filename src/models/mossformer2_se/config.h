// config.json of a MossFormer2 SE checkpoint.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "nn/weights.h"

namespace mlx_audio::mossformer2_se {

/// What upstream fixes in code and in its YAML file; config.json may override
/// it. Times are seconds, lengths samples.
struct Config {
  int sample_rate = 48000;
  int window = 1920; ///< win_len, also the transform's size
  int hop = 384; ///< win_inc
  int mels = 60;
  float preemphasis = 0.97f;
  double whole_seconds = 20; ///< one_time_decode_length
  double segment_seconds = 4; ///< decode_window
  double chunk_seconds = 4; ///< of mlx-audio's chunked mode
  double chunk_overlap = 0.25; ///< share of a chunk
  // Sizes of the network; nothing means: as the tensors say.
  std::optional<int> features = {}; ///< in_channels
  std::optional<int> dim = {}; ///< out_channels
  std::optional<int> bins = {}; ///< out_channels_final
  std::optional<int> blocks = {}; ///< num_blocks
  std::optional<nn::Quantization> quantization = {};
};

/// Throws corrupt_data that names the field.
/// @param source what errors call the text, e.g. its path.
Config parse_config(const std::string& json, const std::string& source);

/// Whether config.json is MossFormer2 SE's.
bool matches(const nlohmann::json& config);

/// What requests may ask for, see ModelInfo::features.
std::vector<std::string> features(const nlohmann::json& config);

} // namespace mlx_audio::mossformer2_se
