#include "codecs/codebook.h"

namespace mlx_audio::codecs {

mx::array take_codebook(
    nn::Weights& weights,
    const std::string& path,
    const std::string& sums,
    int entries,
    int dim) {
  auto sum = weights.take(path + "." + sums, {entries, dim});
  auto usage = weights.take(path + ".cluster_usage", {entries});
  auto count = mx::maximum(mx::astype(usage, mx::float32), mx::array(1e-5f));
  return mx::astype(sum, mx::float32) / mx::expand_dims(count, 1);
}

} // namespace mlx_audio::codecs
