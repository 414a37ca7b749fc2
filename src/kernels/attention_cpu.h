// The CPU node of `attention`.
#pragma once

#include "kernels/attention.h"

namespace mlx_audio::kernels {

/// Whether there is a CPU kernel for these types.
bool attention_cpu_takes(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    const std::optional<mx::array>& bias);

mx::array attention_cpu(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    float scale,
    Mask mask,
    const std::optional<mx::array>& bias);

} // namespace mlx_audio::kernels
