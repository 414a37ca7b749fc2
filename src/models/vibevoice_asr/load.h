#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/transcription.h"

namespace mlx_audio::vibevoice_asr {

/// Whether config.json is VibeVoice-ASR's; VibeVoice's models that speak have
/// a diffusion head.
bool matches(const nlohmann::json& config);

/// What requests may ask for, see ModelInfo::features.
std::vector<std::string> features(const nlohmann::json& config);

/// See load_transcription_model.
std::unique_ptr<TranscriptionModel> load_vibevoice_asr(
    const std::string& folder,
    const TranscriptionModelOptions& options);

} // namespace mlx_audio::vibevoice_asr
