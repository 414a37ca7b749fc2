// Names of number types as people write them.
#pragma once

#include <optional>
#include <string>

#include "mlx/mlx.h"

namespace mlx_audio::nn {

/// "float32" (f32), "bfloat16" (bf16), "float16" (f16); empty gives nothing.
/// @throws Error invalid_argument
std::optional<mlx::core::Dtype> parse_dtype(const std::string& name);

} // namespace mlx_audio::nn
