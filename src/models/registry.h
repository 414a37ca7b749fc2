// Which architecture a checkpoint is. A new model adds one line to the table
// in registry.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/engine.h"

namespace mlx_audio::models {

struct Architecture {
  const char* name;
  ModelTask task;
  /// Whether config.json is one of this architecture.
  bool (*matches)(const nlohmann::json& config);
  /// ModelInfo::features; may look at the config.
  std::vector<std::string> (*features)(const nlohmann::json& config);
  /// The loader of its task; enhancers load by Enhancer::load.
  std::unique_ptr<SpeechModel> (*load_speech)(
      const std::string& folder,
      const LoadOptions& options) = nullptr;
  std::unique_ptr<TranscriptionModel> (*load_transcription)(
      const std::string& folder,
      const TranscriptionModelOptions& options) = nullptr;
};

/// Nothing for a config of no architecture that is known here.
/// @throws nlohmann::json::exception for a field of a type that none has
const Architecture* find_architecture(const nlohmann::json& config);

/// The architecture of the checkpoint in `folder`, for `task`.
/// @throws Error not_found without a config.json, corrupt_data for one that is
///   no JSON object, unsupported for an architecture or a task we lack
const Architecture& find_architecture(
    const std::string& folder,
    ModelTask task);

} // namespace mlx_audio::models
