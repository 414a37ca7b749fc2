#include "kernels/attention_cpu.h"

#include "kernels/cpu_op.h"
#include "kernels/flash_attention.h"

namespace mlx_audio::kernels {

namespace {

Strided strided(const mx::array& a) {
  Strided s;
  s.data = a.data<void>();
  s.type = *float_type(a.dtype());
  for (size_t i = 0; i < 4; ++i) {
    // The stride of an axis of size 1 means nothing and is not always 1.
    s.strides[i] = a.shape(i) == 1 && i < 3 ? 0 : a.strides()[i];
  }
  if (a.shape(3) == 1) {
    s.strides[3] = 1;
  }
  return s;
}

} // namespace

bool attention_cpu_takes(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    const std::optional<mx::array>& bias) {
  return q.size() != 0 && v.size() != 0 && float_type(q.dtype()) &&
      float_type(k.dtype()) && float_type(v.dtype()) &&
      (!bias || float_type(bias->dtype()));
}

mx::array attention_cpu(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    float scale,
    Mask mask,
    const std::optional<mx::array>& bias) {
  AttentionArgs args;
  args.batch = q.shape(0);
  args.heads = q.shape(1);
  args.queries = q.shape(2);
  args.dim = q.shape(3);
  args.kv_heads = k.shape(1);
  args.keys = k.shape(2);
  args.value_dim = v.shape(3);
  args.scale = scale;
  args.causal = mask == Mask::causal;
  std::vector<mx::array> inputs{q, k, v};
  if (bias) {
    inputs.push_back(
        mx::broadcast_to(
            *bias, {q.shape(0), q.shape(1), q.shape(2), k.shape(2)}));
  }
  double products = static_cast<double>(q.shape(0)) * q.shape(1) * q.shape(2) *
      k.shape(2) * (args.causal ? 0.5 : 1.0);
  auto y = cpu_op(
      "attention",
      inputs,
      mx::Shape{q.shape(0), q.shape(2), q.shape(1), v.shape(3)},
      q.dtype(),
      [args](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        AttentionArgs a = args;
        a.q = strided(in[0]);
        a.k = strided(in[1]);
        a.v = strided(in[2]);
        if (in.size() > 3) {
          a.bias = strided(in[3]);
        }
        a.y = out[0].data<void>();
        flash_attention(a);
      },
      {2 * products * (q.shape(3) + v.shape(3)),
       static_cast<double>(2 * q.nbytes() + k.nbytes() + v.nbytes())},
      Layout::any);
  // Heads go inside time in memory, where callers merge them next.
  return mx::transpose(y, {0, 2, 1, 3});
}

} // namespace mlx_audio::kernels
