#include "kernels/linear_cpu.h"

#include <oneapi/dnnl/dnnl.h>

#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

mx::array
linear_cpu(const mx::array& x, const LinearWeight& w, Activation activation) {
  int64_t k = w.in_features();
  int64_t n = w.out_features();
  int64_t m = x.size() / k;
  auto shape = x.shape();
  shape.back() = static_cast<int>(n);
  auto weight = w.quantized()
      ? mx::dequantize(w.weight, *w.scales, w.biases, w.group_size, w.bits)
      : w.weight;
  std::vector<mx::array> inputs{
      mx::astype(x, mx::float32), mx::astype(weight, mx::float32)};
  if (w.bias) {
    inputs.push_back(mx::astype(*w.bias, mx::float32));
  }
  auto y = cpu_op(
      "linear",
      inputs,
      shape,
      mx::float32,
      [m, n, k](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        auto* y = out[0].data<float>();
        if (in.size() > 2) {
          const auto* bias = in[2].data<float>();
          for (int64_t i = 0; i < m; ++i) {
            std::copy(bias, bias + n, y + i * n);
          }
        }
        dnnl_sgemm(
            'N',
            'T',
            m,
            n,
            k,
            1.0f,
            in[0].data<float>(),
            k,
            in[1].data<float>(),
            k,
            in.size() > 2 ? 1.0f : 0.0f,
            y,
            n);
      },
      {2.0 * m * n * k, 4.0 * (m * k + n * k + m * n)});
  return mx::astype(activate(y, activation), x.dtype());
}

} // namespace mlx_audio::kernels
