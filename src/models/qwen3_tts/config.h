// config.json and generation_config.json of Qwen3-TTS checkpoints.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nn/config_reader.h"
#include "nn/decoder.h"

namespace mlx_audio::qwen3_tts {

namespace mx = mlx::core;

enum class Kind {
  base, ///< clones a voice from a recording
  custom_voice, ///< preset voices, with emotion and style in words
  voice_design, ///< a voice from its description
};

const char* to_string(Kind kind);

/// ECAPA-TDNN (Desplanques et al. 2020).
struct SpeakerEncoderConfig {
  int mel_dim = 128;
  int out = 0;
  std::vector<int> channels; // of the first, the SE-Res2Net and the last layer
  std::vector<int> kernels;
  std::vector<int> dilations;
  int attention = 0;
  int scale = 0;
  int se = 0;
  int sample_rate = 24000;
};

/// What generation_config.json says; the defaults are the original's.
struct GenerationConfig {
  bool do_sample = true;
  float temperature = 0.9f;
  int top_k = 50;
  float top_p = 1.0f;
  float repetition_penalty = 1.05f;
  bool subtalker_do_sample = true;
  float subtalker_temperature = 0.9f;
  int subtalker_top_k = 50;
  float subtalker_top_p = 1.0f;
  int max_new_tokens = 2048; // frames
};

struct Config {
  Kind kind = Kind::base;
  bool small = false; // the 0.6B models, which ignore instructions

  nn::DecoderConfig talker;
  nn::DecoderConfig predictor;
  int vocab = 0; // codes of the first codebook and control codes
  int codebook = 0; // codes of the others
  int groups = 0; // codebooks, the first included
  int text_vocab = 0;
  int text_hidden = 0;
  int context = 0; // positions

  int codec_bos = 0;
  int codec_eos = 0;
  int codec_pad = 0;
  int codec_think = 0;
  int codec_nothink = 0;
  int codec_think_bos = 0;
  int codec_think_eos = 0;
  int im_start = 0;
  int im_end = 0;
  int tts_bos = 0;
  int tts_eos = 0;
  int tts_pad = 0;

  std::map<std::string, int> languages; // lower-case name -> code
  std::map<std::string, int> speakers;
  std::map<std::string, std::string> dialects; // speaker -> language

  std::optional<SpeakerEncoderConfig> speaker_encoder;
};

/// Reads and checks `folder`/config.json.
Config read_config(const std::string& folder);
Config parse_config(const nlohmann::json& json);

/// Reads `folder`/generation_config.json; the defaults if it is not there.
GenerationConfig read_generation_config(const std::string& folder);

} // namespace mlx_audio::qwen3_tts
