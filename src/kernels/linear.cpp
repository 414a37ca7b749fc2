#include "kernels/linear.h"

#include "kernels/cpu_op.h"
#include "kernels/linear_cpu.h"

namespace mlx_audio::kernels {

namespace {

thread_local const ScopedLinearObserver::Function* observer = nullptr;

mx::array
linear_mlx(const mx::array& x, const LinearWeight& w, Activation activation) {
  auto y = w.quantized()
      ? mx::quantized_matmul(
            x, w.weight, *w.scales, w.biases, true, w.group_size, w.bits)
      : mx::matmul(x, mx::astype(mx::transpose(w.weight), x.dtype()));
  if (w.bias) {
    y = y + mx::astype(*w.bias, y.dtype());
  }
  return activate(y, activation);
}

} // namespace

ScopedLinearObserver::ScopedLinearObserver(Function function)
    : function_(std::move(function)) {
  observer = &function_;
}

ScopedLinearObserver::~ScopedLinearObserver() {
  observer = nullptr;
}

mx::array linear(
    const mx::array& x,
    const LinearWeight& weight,
    Activation activation /* = none */) {
  if (x.ndim() < 1 || x.shape(-1) != weight.in_features()) {
    throw std::invalid_argument(
        "[linear] x has " + std::to_string(x.ndim() ? x.shape(-1) : 0) +
        " features but the weight takes " +
        std::to_string(weight.in_features()) + ".");
  }
  if (observer != nullptr) {
    (*observer)(weight, x);
  }
  if (use_cpu_kernels() && linear_cpu_takes(x, weight)) {
    return linear_cpu(x, weight, activation);
  }
  return linear_mlx(x, weight, activation);
}

} // namespace mlx_audio::kernels
