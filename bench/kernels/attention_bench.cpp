// Attention of an ALBERT layer (12 heads of 64) and of a long causal prompt.
#include "kernels/attention.h"

#include "kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

void add(const char* name, int heads, int time, int dim, Mask mask) {
  auto q = random({1, heads, time, dim}, 1);
  auto k = random({1, heads, time, dim}, 2);
  auto v = random({1, heads, time, dim}, 3);
  compare(
      std::string(name) + "/" + std::to_string(heads) + "x" +
          std::to_string(time) + "x" + std::to_string(dim),
      4.0 * heads * time * time * dim * (mask == Mask::causal ? 0.5 : 1),
      [=] { return attention(q, k, v, 0.125f, mask); });
}

const bool registered = [] {
  add("full", 12, 128, 64, Mask::none);
  add("full", 12, 512, 64, Mask::none);
  add("causal", 16, 1024, 128, Mask::causal);
  return true;
}();

} // namespace
} // namespace mlx_audio::kernels
