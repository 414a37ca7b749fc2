#include "kernels/attention.h"

#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

mx::array attention(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    float scale,
    Mask mask /* = none */,
    const std::optional<mx::array>& bias /* = std::nullopt */) {
  return mx::fast::scaled_dot_product_attention(
      q, k, v, scale, mask == Mask::causal ? "causal" : "", bias);
}

} // namespace mlx_audio::kernels
