#pragma once

#include <string>

namespace mlx_audio::checkpoint {

/// "apache-2.0" of a line "license: apache-2.0" in the front matter of a model
/// card, `folder`/README.md; empty if there is none.
std::string license_in(const std::string& folder);

} // namespace mlx_audio::checkpoint
