// The exponential linear unit (Clevert et al. 2015).
#pragma once

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// x, or e^x - 1 below 0: [any] -> [same]. On the CPU, f32: to 2e-7 absolute.
mx::array elu(const mx::array& x);

} // namespace mlx_audio::kernels
