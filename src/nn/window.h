// Sliding-window attention.
#pragma once

#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::nn {

namespace mx = mlx::core;

/// What to add to the scores [steps, keys] of the last `steps` of `keys`
/// positions so that a query sees `window` positions, itself included: 0 or
/// -infinity, f32. Nothing if causality says it all or window is 0.
std::optional<mx::array> window_bias(int steps, int keys, int window);

} // namespace mlx_audio::nn
