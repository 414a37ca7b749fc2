// Kokoro-82M as a SpeechModel: text through phonemes to chunks of speech.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/speech.h"

namespace mlx_audio::kokoro {

/// Whether config.json is Kokoro's: it has `plbert` and `istftnet`.
bool matches(const nlohmann::json& config);

/// What requests may ask for, see ModelInfo::features.
std::vector<std::string> features(const nlohmann::json& config);

std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& folder,
    const LoadOptions& options);

} // namespace mlx_audio::kokoro
