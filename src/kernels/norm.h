// Normalizations and the pointwise functions that follow them.
#pragma once

#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// x [..., dim] normalized over the last axis, times weight plus bias ([dim],
/// optional). Statistics are f32.
mx::array layer_norm(
    const mx::array& x,
    const std::optional<mx::array>& weight,
    const std::optional<mx::array>& bias,
    float eps);

/// Global layer norm (Luo & Mesgarani 2019): x [time, dim] normalized over time
/// and channels together, times weight plus bias ([dim]); then, with a skip,
/// prelu(that + skip). All are f32.
struct GlobalNorm {
  mx::array weight;
  mx::array bias;
  float eps = 1e-8f;
  std::optional<mx::array> skip = {}; // [time, dim]
  std::optional<mx::array> slope = {}; // [1], with a skip only
};
mx::array global_norm(const mx::array& x, const GlobalNorm& norm);

/// x [..., dim] / rms(x) * weight.
mx::array rms_norm(const mx::array& x, const mx::array& weight, float eps);

/// Adaptive instance norm (Huang & Belongie 2017): x [batch, time, dim] is
/// normalized over time, then scaled by (1 + gamma) and shifted by beta. One of
/// two functions may follow:
///   snake with alpha [dim] (Ziyin et al. 2020): v + sin(alpha v)^2 / alpha, or
///   leaky ReLU with the given slope (1 leaves values as they are).
struct AdaNorm {
  mx::array gamma; // [batch, dim]
  mx::array beta; // [batch, dim]
  float eps = 1e-5f;
  std::optional<mx::array> snake_alpha = {};
  float leaky_slope = 1.0f;
};
mx::array ada_instance_norm(const mx::array& x, const AdaNorm& norm);

/// x [..., dim] -> x + sin(alpha x)^2 / alpha, alpha [dim].
mx::array snake(const mx::array& x, const mx::array& alpha);

/// The same with an amplitude of its own: x + amplitude sin(alpha x)^2.
struct SnakeBeta {
  mx::array alpha; // [dim]
  mx::array amplitude; // [dim]
};
mx::array snake(const mx::array& x, const SnakeBeta& function);

/// max(x, slope x).
mx::array leaky_relu(const mx::array& x, float slope);

} // namespace mlx_audio::kernels
