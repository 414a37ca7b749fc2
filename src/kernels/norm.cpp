#include "kernels/norm.h"

#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

mx::array layer_norm(
    const mx::array& x,
    const std::optional<mx::array>& weight,
    const std::optional<mx::array>& bias,
    float eps) {
  return mx::fast::layer_norm(x, weight, bias, eps);
}

mx::array rms_norm(const mx::array& x, const mx::array& weight, float eps) {
  return mx::fast::rms_norm(x, weight, eps);
}

mx::array snake(const mx::array& x, const mx::array& alpha) {
  auto a = mx::astype(alpha, x.dtype());
  return x + mx::square(mx::sin(a * x)) / a;
}

mx::array leaky_relu(const mx::array& x, float slope) {
  return mx::maximum(x, x * mx::array(slope, x.dtype()));
}

mx::array ada_instance_norm(
    const mx::array& x,
    const mx::array& gamma,
    const mx::array& beta,
    float eps,
    const std::optional<mx::array>& snake_alpha /* = std::nullopt */,
    float leaky_slope /* = 1.0f */) {
  auto f = mx::astype(x, mx::float32);
  auto mean = mx::mean(f, 1, true);
  auto var = mx::var(f, 1, true);
  auto scale =
      mx::expand_dims(mx::astype(gamma, mx::float32), 1) + mx::array(1.0f);
  auto shift = mx::expand_dims(mx::astype(beta, mx::float32), 1);
  auto y = (f - mean) * mx::rsqrt(var + mx::array(eps)) * scale + shift;
  if (snake_alpha) {
    y = snake(y, *snake_alpha);
  } else if (leaky_slope != 1.0f) {
    y = leaky_relu(y, leaky_slope);
  }
  return mx::astype(y, x.dtype());
}

} // namespace mlx_audio::kernels
