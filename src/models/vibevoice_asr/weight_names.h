// Names of tensors: the original's and those of MLX conversions.
#pragma once

#include <string>

namespace mlx_audio::vibevoice_asr {

/// The name in MLX conversions of a tensor of either layout; empty for what
/// recognition does not need.
std::string canonical_name(std::string name);

} // namespace mlx_audio::vibevoice_asr
