// Reading of JSON files that came with a checkpoint.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mlx_audio::checkpoint {

/// The JSON object in the file at `path`; not_found if there is none,
/// corrupt_data for more than 64 MB, more than 64 levels or anything that is no
/// object.
nlohmann::json read_json(const std::string& path);

/// The same for text; `name` is what errors call it.
nlohmann::json parse_json(std::string_view text, const std::string& name);

/// Whether config.json's `model_type` is `type`.
bool is_model_type(const nlohmann::json& config, std::string_view type);

} // namespace mlx_audio::checkpoint
