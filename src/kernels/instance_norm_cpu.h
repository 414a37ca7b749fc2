// CPU kernels of ada_instance_norm, snake and leaky_relu; f32.
#pragma once

#include <cstddef>

#include "kernels/channel_map.h"

namespace mlx_audio::kernels {

/// x [time, channels] -> y: normalized over time, (1 + gamma) y + beta, then
/// the function.
void ada_instance_norm_cpu(
    const float* x,
    float* y,
    int time,
    int channels,
    const float* gamma,
    const float* beta,
    float eps,
    const ChannelFunction& function);

/// The function alone over [rows, channels].
void channel_function_cpu(
    const float* x,
    float* y,
    size_t rows,
    int channels,
    const ChannelFunction& function);

} // namespace mlx_audio::kernels
