// What kinds of models there are: a new architecture, or a new task, is one
// line of the table in model_kinds.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "mlx_audio/engine.h"

namespace mlx_audio::engine {

struct ModelKind {
  const char* architecture;
  ModelTask task;
  bool (*matches)(const nlohmann::json& config);
  void (
      *load)(LoadedModel& model, const std::string& folder, const LoadOptions&);
  /// What its requests may ask for; may look at the config.
  std::vector<std::string> (*features)(const nlohmann::json& config);
};

/// Nothing if the folder holds no model that a request could use.
const ModelKind* find_kind(const nlohmann::json& config);

/// What is known of the model in `folder`; false if it is none of ours.
bool describe_folder(const std::string& folder, ModelInfo& info);

/// Loads it. @throws Error as the loaders of the tasks.
std::unique_ptr<LoadedModel> load_model(
    const ModelInfo& info,
    const LoadOptions& options);

} // namespace mlx_audio::engine
