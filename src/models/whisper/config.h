// The shape of a Whisper model (Radford et al. 2022).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace mlx_audio::whisper {

constexpr int kSampleRate = 16000; // Hz
constexpr int kHop = 160; // samples between mel frames
constexpr int kWindowFrames = 3000; // mel frames of one window
constexpr int kWindowSamples = kWindowFrames * kHop; // 30 s
constexpr int kFramesPerSecond = kSampleRate / kHop; // 100 mel frames
constexpr double kTimePrecision = 0.02; // seconds of one timestamp token
constexpr int kFramesPerToken = 2; // mel frames of one encoder position

struct WhisperConfig {
  int n_mels = 80;
  int n_audio_ctx = 1500;
  int n_audio_state = 0;
  int n_audio_head = 0;
  int n_audio_layer = 0;
  int n_vocab = 0;
  int n_text_ctx = 448;
  int n_text_state = 0;
  int n_text_head = 0;
  int n_text_layer = 0;
  /// (layer, head) pairs of the decoder whose cross-attention follows time.
  std::vector<std::pair<int, int>> alignment_heads;

  bool multilingual() const {
    return n_vocab >= 51865;
  }
  int num_languages() const {
    return n_vocab - 51765 - (multilingual() ? 1 : 0);
  }
};

/// The config.json of any layout: Hugging Face's names or the original's.
/// @throws Error corrupt_data naming the field that is missing or impossible.
WhisperConfig parse_config(const nlohmann::json& config);

/// Reads `folder`/config.json and, where present, the alignment heads of
/// generation_config.json; without those, the heads published for a model of
/// this shape, else all heads of the upper half.
WhisperConfig load_config(const std::string& folder);

} // namespace mlx_audio::whisper
