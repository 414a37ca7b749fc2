#include "kernels/elu.h"

#include <algorithm>

#include "kernels/cpu_op.h"
#include "kernels/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void elu_row(const float* x, float* y, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto value = [d](auto v) HWY_ATTR {
    const auto zero = hn::Zero(d);
    const auto below =
        hn::Sub(math::exp(d, hn::Min(v, zero)), hn::Set(d, 1.0f));
    return hn::IfThenElse(hn::Gt(v, zero), v, below);
  };
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(value(hn::LoadU(d, x + i)), d, y + i);
  }
  if (i < count) {
    HWY_ALIGN float tail[HWY_MAX_BYTES / sizeof(float)] = {};
    std::copy(x + i, x + count, tail);
    hn::Store(value(hn::Load(d, tail)), d, tail);
    std::copy(tail, tail + count - i, y + i);
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(elu_row);

mx::array elu(const mx::array& x) {
  if (!use_cpu_kernels() || x.dtype() != mx::float32 || x.size() == 0) {
    auto zero = mx::array(0.0f, x.dtype());
    return mx::where(mx::greater(x, zero), x, mx::expm1(mx::minimum(x, zero)));
  }
  return cpu_op(
      "elu",
      {x},
      x.shape(),
      mx::float32,
      [](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        constexpr int64_t block = 4096;
        auto count = static_cast<int64_t>(out[0].size());
        const float* from = in[0].data<float>();
        auto* to = out[0].data<float>();
        parallel_for((count + block - 1) / block, 8, [&](int64_t i) {
          int64_t at = i * block;
          HWY_DYNAMIC_DISPATCH(elu_row)
          (from + at, to + at, std::min(block, count - at));
        });
      },
      {0, 8.0 * static_cast<double>(x.size())});
}

} // namespace mlx_audio::kernels
#endif
