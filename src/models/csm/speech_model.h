// CSM behind the public speech interface.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/speech.h"

namespace mlx_audio::csm {

/// Whether config.json is that of CSM or of a model of its kind.
bool matches(const nlohmann::json& config);

/// What requests may ask for, see ModelInfo::features.
std::vector<std::string> features(const nlohmann::json& config);

/// Heeds text, seed, low_latency, reference and its text, sampling, and voice:
/// the name of a built-in one, or the number of a speaker ("1"), with which the
/// model goes on from the reference, or without one makes up a voice.
std::unique_ptr<SpeechModel> load_speech_model(
    const std::string& folder,
    const LoadOptions& options);

} // namespace mlx_audio::csm
