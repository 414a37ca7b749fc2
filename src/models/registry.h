// Which architecture a checkpoint is. A new model adds one line to
// registry.cpp.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/speech.h"

namespace mlx_audio::models {

struct SpeechArchitecture {
  const char* name;
  /// Whether config.json is one of this architecture.
  bool (*matches)(const nlohmann::json& config);
  std::unique_ptr<SpeechModel> (
      *load)(const std::string& folder, const LoadOptions& options);
};

/// The architecture of the checkpoint in `folder`.
/// @throws not_found without a config.json, unsupported for one we lack.
const SpeechArchitecture& find_speech_architecture(const std::string& folder);

} // namespace mlx_audio::models
