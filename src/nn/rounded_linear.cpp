#include "nn/rounded_linear.h"

namespace mlx_audio::nn {

RoundedLinear::RoundedLinear(Linear linear) {
  if (linear.weight().weight.dtype() == mx::bfloat16 &&
      kernels::packed_available()) {
    packed_ = std::make_shared<kernels::PackedLinear>(
        kernels::PackedType::bf16, linear.weight());
  } else {
    linear_ = std::move(linear);
  }
}

mx::array RoundedLinear::operator()(
    const mx::array& x,
    Activation activation /* = Activation::none */) const {
  return linear_ ? (*linear_)(x, activation)
                 : kernels::packed_linear("linear", x, packed_, activation);
}

} // namespace mlx_audio::nn
