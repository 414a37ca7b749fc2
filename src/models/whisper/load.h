#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/transcription.h"

namespace mlx_audio::whisper {

/// Whether config.json is Whisper's. The oldest mlx-community repositories name
/// no type, only its sizes.
bool matches(const nlohmann::json& config);

/// What requests may ask for, see ModelInfo::features.
std::vector<std::string> features(const nlohmann::json& config);

/// See load_transcription_model.
std::unique_ptr<TranscriptionModel> load_whisper(
    const std::string& folder,
    const TranscriptionModelOptions& options);

} // namespace mlx_audio::whisper
