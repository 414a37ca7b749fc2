#include "kernels/activation.h"

#include <cmath>

#include "kernels/cpu_op.h"
#include "kernels/parallel.h"
#include "kernels/pointwise.h"
#include "kernels/scratch.h"

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

mx::array tanh_gate(const mx::array& x) {
  int n = x.shape(-1) / 2;
  if (!use_cpu_kernels() || x.size() == 0) {
    auto halves = mx::split(x, 2, -1);
    return mx::tanh(halves[0]) * mx::sigmoid(halves[1]);
  }
  auto shape = x.shape();
  shape.back() = n;
  return cpu_op(
      "tanh_gate",
      {x},
      shape,
      mx::float32,
      [n](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        auto rows = static_cast<int64_t>(out[0].size()) / n;
        parallel_for(rows, 16, [&](int64_t r) {
          static thread_local Scratch scratch;
          float* gate = scratch.floats(n);
          const float* from = in[0].data<float>() + 2 * r * n;
          float* to = out[0].data<float>() + r * n;
          pointwise(Pointwise::tanh, from, to, n);
          pointwise(Pointwise::sigmoid, from + n, gate, n);
          for (int i = 0; i < n; ++i) {
            to[i] *= gate[i];
          }
        });
      },
      {0, 6.0 * static_cast<double>(x.size())});
}

} // namespace mlx_audio::kernels
