// Models on disk, as the engine knows and loads them.
#pragma once

#include <memory>
#include <string>

#include "mlx_audio/engine.h"

namespace mlx_audio::engine {

/// What is known of the model in `folder`; false if it is none of ours.
bool describe_folder(const std::string& folder, ModelInfo& info);

/// Loads it. @throws Error as the loaders of the tasks.
std::unique_ptr<LoadedModel> load_model(
    const ModelInfo& info,
    const LoadOptions& options);

} // namespace mlx_audio::engine
