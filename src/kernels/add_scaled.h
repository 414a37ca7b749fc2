// The end of a residual branch.
#pragma once

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// With a scale a channel ("LayerScale", Touvron et al. 2021): x + branch *
/// scale, [..., dim], scale [dim].
mx::array
add_scaled(const mx::array& x, const mx::array& branch, const mx::array& scale);

} // namespace mlx_audio::kernels
