// What a realtime session is told about its sound and its text, in the words
// of OpenAI's current interface and of its beta.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/json.h"
#include "server/realtime/audio_input.h"

namespace mlx_audio::server {

struct TranscriptionSettings {
  std::string name; ///< of the model, as the client calls it
  std::string model; ///< its id
  std::string language; ///< code; empty: detected
  std::vector<std::string> languages; ///< that may be spoken
  std::vector<std::string> keywords;
  std::string prompt;
  /// "minimal" .. "xhigh": how much sound is gathered before text comes.
  std::string delay;
};

/// Silero VAD ends turns.
struct TurnDetection {
  double threshold = 0.5; ///< 0..1; above it a piece of 32 ms is speech
  int prefix_padding_ms = 300; ///< of sound before speech that is kept
  int silence_duration_ms = 500; ///< that ends a turn
  double max_turn_seconds = 0; ///< a longer turn is cut; 0: no limit
  std::optional<bool> create_response = {}; ///< only said back
  std::optional<bool> interrupt_response = {};
};

struct NoiseReduction {
  std::string type = "near_field";
  double strength = 1; ///< 0..1
};

struct SessionConfig {
  WireFormat format = WireFormat::pcm16;
  int sample_rate = 24000; ///< Hz
  std::optional<TranscriptionSettings> transcription = TranscriptionSettings();
  std::optional<TurnDetection> turn_detection = TurnDetection();
  std::optional<NoiseReduction> noise_reduction = {};
  bool logprobs = false;
  /// Deltas also carry `pending`: words that may still change.
  bool pending = false;
};

/// What a config is checked against.
struct SessionLookup {
  /// The id of a transcription model that can listen live, by the name a client
  /// gives it. @throws ApiError 404, 400.
  std::function<std::string(const std::string& name)> model;
  /// Whether some installed model can remove noise.
  std::function<bool()> noise_reduction;
};

/// Changes what `session`, the value of a client's event, names; what it does
/// not name stays. @param beta in the words of the beta interface.
/// @throws ApiError 400 that names the field; the config is then unchanged.
void update_config(
    SessionConfig& config,
    const Json& session,
    bool beta,
    const SessionLookup& lookup);

/// The config as a session object, without its id.
Json config_json(const SessionConfig& config, bool beta);

} // namespace mlx_audio::server
