// The CPU node of `linear`.
#pragma once

#include "kernels/linear.h"

namespace mlx_audio::kernels {

/// Whether there is a CPU kernel for these types.
bool linear_cpu_takes(const mx::array& x, const LinearWeight& weight);

mx::array linear_cpu(
    const mx::array& x,
    const LinearWeight& weight,
    Activation activation);

} // namespace mlx_audio::kernels
