// Qwen3-TTS behind the public speech interface.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/speech.h"

namespace mlx_audio::qwen3_tts {

/// Whether config.json is Qwen3-TTS', of any kind.
bool matches(const nlohmann::json& config);

/// What requests may ask for, see ModelInfo::features.
std::vector<std::string> features(const nlohmann::json& config);

/// Heeds every field of a request but speed and phonemes, as its kind allows:
/// base models need a reference, custom-voice models a voice, voice-design
/// models an instruction. Languages are names ("english"), codes ("en") or
/// "auto".
std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& folder,
    const LoadOptions& options);

} // namespace mlx_audio::qwen3_tts
