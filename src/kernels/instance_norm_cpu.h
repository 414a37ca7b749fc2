// CPU kernels of ada_instance_norm, snake and leaky_relu; f32.
#pragma once

#include <cstddef>

namespace mlx_audio::kernels {

/// What follows a per-channel affine map.
struct ChannelFunction {
  const float* snake_alpha = nullptr; ///< [channels]
  float leaky_slope = 1.0f; ///< used without snake_alpha
  const float* snake_amplitude = nullptr; ///< [channels]; null: 1 / alpha
};

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
