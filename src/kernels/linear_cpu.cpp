#include "kernels/linear_cpu.h"

#include <optional>

#include "kernels/cpu_op.h"
#include "kernels/float_type.h"
#include "kernels/gemm.h"

namespace mlx_audio::kernels {

bool linear_cpu_takes(const mx::array& x, const LinearWeight& w) {
  if (!float_type(x.dtype()) || x.size() == 0) {
    return false;
  }
  if (!w.quantized()) {
    return float_type(w.weight.dtype()).has_value();
  }
  bool bits = w.bits >= 2 && w.bits <= 8 && w.bits != 7;
  bool group = w.group_size == 32 || w.group_size == 64 || w.group_size == 128;
  return bits && group && w.biases && float_type(w.scales->dtype()) &&
      w.biases->dtype() == w.scales->dtype();
}

mx::array
linear_cpu(const mx::array& x, const LinearWeight& w, Activation activation) {
  GemmArgs args;
  args.x_type = *float_type(x.dtype());
  args.activation = activation;
  args.w.rows = w.out_features();
  args.w.columns = w.in_features();
  args.m = static_cast<int64_t>(x.size()) / args.w.columns;
  args.w.type =
      *float_type(w.quantized() ? w.scales->dtype() : w.weight.dtype());
  std::vector<mx::array> inputs{x, w.weight};
  if (w.quantized()) {
    args.w.bits = w.bits;
    args.w.group = w.group_size;
    inputs.push_back(*w.scales);
    inputs.push_back(*w.biases);
  }
  if (w.bias) {
    auto type = float_type(w.bias->dtype());
    args.bias_type = type.value_or(FloatType::f32);
    inputs.push_back(type ? *w.bias : mx::astype(*w.bias, mx::float32));
  }
  auto shape = x.shape();
  shape.back() = w.out_features();
  auto m = static_cast<double>(args.m);
  double width = static_cast<double>(x.itemsize());
  double n = static_cast<double>(args.w.rows);
  double k = static_cast<double>(args.w.columns);
  return cpu_op(
      "linear",
      inputs,
      shape,
      x.dtype(),
      [args, has_bias = w.bias.has_value()](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        GemmArgs a = args;
        a.x = in[0].data<void>();
        a.w.data = in[1].data<void>();
        if (a.w.bits != 0) {
          a.w.scales = in[2].data<void>();
          a.w.biases = in[3].data<void>();
        }
        if (has_bias) {
          a.bias = in.back().data<void>();
        }
        a.y = out[0].data<void>();
        linear_product(a);
      },
      {2 * m * n * k, args.w.bytes() + width * m * (n + k)});
}

} // namespace mlx_audio::kernels
