// A pointwise map of channels, x -> function(x scale + shift), that kernels
// apply while they read a sequence.
#pragma once

#include <cstddef>
#include <vector>

namespace mlx_audio::kernels {

/// What follows a per-channel affine map.
struct ChannelFunction {
  const float* snake_alpha = nullptr; ///< [channels]
  float leaky_slope = 1.0f; ///< used without snake_alpha
  const float* snake_amplitude = nullptr; ///< [channels]; null: 1 / alpha
};

/// Values a channel, with room for a whole vector behind the last one.
class ChannelValues {
 public:
  explicit ChannelValues(size_t count = 0, float value = 0.0f)
      : values_(count + max_lanes, value) {}
  ChannelValues(const float* values, size_t count);

  float& operator[](size_t c) {
    return values_[c];
  }
  const float* data() const {
    return values_.data();
  }

 private:
  static constexpr size_t max_lanes = 64; // of any instruction set
  std::vector<float> values_;
};

struct ChannelMap {
  bool affine = false;
  ChannelValues scale;
  ChannelValues shift;
  bool snake = false;
  ChannelValues alpha;
  ChannelValues amplitude;
  float slope = 1.0f;

  /// The function alone.
  ChannelMap(size_t channels, const ChannelFunction& function);
};

/// Adaptive instance norm of x [time, channels] as a map: over time, (1 +
/// gamma) y + beta, then the function.
ChannelMap instance_norm_map(
    const float* x,
    int time,
    int channels,
    const float* gamma,
    const float* beta,
    float eps,
    const ChannelFunction& function);

} // namespace mlx_audio::kernels
