#include "kernels/attention.h"

#include <limits>
#include <stdexcept>
#include <string>

#include "kernels/attention_cpu.h"
#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

namespace {

void check(const mx::array& q, const mx::array& k, const mx::array& v) {
  auto fail = [](const std::string& what) {
    throw std::invalid_argument("[attention] " + what);
  };
  for (const auto* a : {&q, &k, &v}) {
    if (a->ndim() != 4) {
      fail(
          "arrays must be [batch, heads, time, dim] but one has " +
          std::to_string(a->ndim()) + " axes.");
    }
  }
  if (k.shape(0) != q.shape(0) || v.shape(0) != q.shape(0) ||
      k.shape(3) != q.shape(3) || v.shape(1) != k.shape(1) ||
      v.shape(2) != k.shape(2)) {
    fail("q, k and v do not fit together.");
  }
  if (k.shape(1) == 0 || q.shape(1) % k.shape(1) != 0) {
    fail(
        std::to_string(q.shape(1)) + " heads are no multiple of " +
        std::to_string(k.shape(1)) + " kv heads.");
  }
}

} // namespace

mx::array attention(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    float scale,
    Mask mask /* = none */,
    const std::optional<mx::array>& bias /* = std::nullopt */) {
  check(q, k, v);
  if (use_cpu_kernels() && attention_cpu_takes(q, k, v, bias)) {
    return attention_cpu(q, k, v, scale, mask, bias);
  }
  if (bias && mask == Mask::causal) {
    // MLX takes one mask only.
    int queries = q.shape(2);
    int keys = k.shape(2);
    auto later = mx::greater(
        mx::expand_dims(mx::arange(keys), 0),
        mx::expand_dims(mx::arange(keys - queries, keys), 1));
    auto hidden = mx::where(
        later,
        mx::array(-std::numeric_limits<float>::infinity(), q.dtype()),
        mx::array(0.0f, q.dtype()));
    return mx::fast::scaled_dot_product_attention(
        q, k, v, scale, "", mx::astype(*bias, q.dtype()) + hidden);
  }
  return mx::fast::scaled_dot_product_attention(
      q, k, v, scale, mask == Mask::causal ? "causal" : "", bias);
}

} // namespace mlx_audio::kernels
