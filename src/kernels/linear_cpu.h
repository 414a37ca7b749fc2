// The CPU node of `linear`.
#pragma once

#include "kernels/linear.h"

namespace mlx_audio::kernels {

mx::array linear_cpu(
    const mx::array& x,
    const LinearWeight& weight,
    Activation activation);

} // namespace mlx_audio::kernels
