#include "kernels/activation.h"

#include <cmath>

namespace mlx_audio::kernels {

mx::array activate(const mx::array& x, Activation activation) {
  auto scalar = [&](double v) {
    return mx::array(static_cast<float>(v), x.dtype());
  };
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return mx::maximum(x, scalar(0));
    case Activation::gelu:
      return x * (scalar(1) + mx::erf(x * scalar(std::sqrt(0.5)))) *
          scalar(0.5);
    case Activation::gelu_tanh:
      return scalar(0.5) * x *
          (scalar(1) +
           mx::tanh(
               scalar(std::sqrt(2 / M_PI)) *
               (x + scalar(0.044715) * x * x * x)));
    case Activation::silu:
      return x * mx::sigmoid(x);
  }
  return x;
}

} // namespace mlx_audio::kernels
