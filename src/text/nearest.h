// Names that someone may have meant.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mlx_audio::text {

/// Levenshtein distance in bytes.
size_t edit_distance(const std::string& a, const std::string& b);

/// Up to three of `names` within a small edit distance of `name`, nearest
/// first, as "'af_heart', 'af_bella'"; empty if none is near.
std::string nearest_names(
    const std::string& name,
    const std::vector<std::string>& names);

} // namespace mlx_audio::text
