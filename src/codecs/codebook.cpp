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

mx::array split_quantized(
    const mx::array& codes,
    const std::vector<mx::array>& codebooks,
    const nn::Linear& first,
    const nn::Linear& rest) {
  int frames = codes.shape(0);
  auto entries = [&](int group) {
    auto column = mx::slice(codes, {0, group}, {frames, group + 1});
    return mx::take(codebooks[group], mx::reshape(column, {frames}), 0);
  };
  auto sum = entries(1);
  for (int g = 2; g < static_cast<int>(codebooks.size()); ++g) {
    sum = sum + entries(g);
  }
  return first(entries(0)) + rest(sum);
}

} // namespace mlx_audio::codecs
