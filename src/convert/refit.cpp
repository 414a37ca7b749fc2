#include "convert/refit.h"

namespace mlx_audio::convert {

namespace mx = mlx::core;

namespace {

constexpr float ranges[] = {1.0f, 0.9f, 0.8f, 0.7f}; // of MLX's
constexpr int rounds = 3;

struct Fit {
  mx::array codes; // [rows, groups, size] float32, whole numbers
  mx::array scales; // [rows, groups, 1] of the type they are stored in
  mx::array biases;
  mx::array error; // [rows, groups, 1] sum of squares
};

Fit fit_codes(
    const mx::array& w,
    const mx::array& scales,
    const mx::array& biases,
    float largest) {
  auto s = mx::astype(scales, mx::float32);
  auto b = mx::astype(biases, mx::float32);
  auto safe = mx::where(mx::equal(s, mx::array(0.0f)), mx::array(1.0f), s);
  auto codes =
      mx::clip(mx::round((w - b) / safe), mx::array(0.0f), mx::array(largest));
  auto error = mx::sum(mx::square(w - (codes * s + b)), -1, true);
  return {codes, scales, biases, error};
}

// The line through (code, weight) of each group that makes the error least.
Fit fit_line(const mx::array& w, const Fit& old, float largest) {
  auto code_mean = mx::mean(old.codes, -1, true);
  auto mean = mx::mean(w, -1, true);
  auto offset = old.codes - code_mean;
  auto spread = mx::sum(mx::square(offset), -1, true);
  auto slope = mx::sum(offset * (w - mean), -1, true) /
      mx::maximum(spread, mx::array(0.5f));
  auto line = mx::greater(spread, mx::array(0.4f)); // codes are not all one
  auto type = old.scales.dtype();
  auto scales = mx::where(line, mx::astype(slope, type), old.scales);
  auto biases =
      mx::where(line, mx::astype(mean - slope * code_mean, type), old.biases);
  return fit_codes(w, scales, biases, largest);
}

void keep_better(Fit& best, const Fit& other) {
  auto better = mx::less(other.error, best.error);
  best.codes = mx::where(better, other.codes, best.codes);
  best.scales = mx::where(better, other.scales, best.scales);
  best.biases = mx::where(better, other.biases, best.biases);
  best.error = mx::where(better, other.error, best.error);
}

// MLX's packing: the codes of a row as one stream of bits, lowest first.
mx::array pack_codes(const mx::array& codes, int bits) {
  auto words = mx::contiguous(mx::astype(codes, mx::uint32));
  mx::eval(words);
  const auto* code = words.data<uint32_t>();
  std::vector<uint32_t> packed;
  packed.reserve(words.size() * static_cast<size_t>(bits) / 32);
  uint64_t pending = 0;
  int filled = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    pending |= static_cast<uint64_t>(code[i]) << filled;
    filled += bits;
    if (filled >= 32) {
      packed.push_back(static_cast<uint32_t>(pending));
      pending >>= 32;
      filled -= 32;
    }
  }
  // Rows are whole numbers of words: 32 columns divide each of them.
  int rows = codes.shape(0);
  return mx::array(
      packed.data(),
      {rows, static_cast<int>(packed.size()) / rows},
      mx::uint32);
}

} // namespace

void refit(
    const mx::array& w,
    std::vector<mx::array>& parts,
    const Packing& packing) {
  auto largest = static_cast<float>((1 << packing.bits) - 1);
  int rows = w.shape(0);
  int groups = w.shape(1) / packing.group_size;
  auto exact = mx::reshape(
      mx::astype(w, mx::float32), {rows, groups, packing.group_size});
  auto scales = mx::expand_dims(parts[1], -1);
  auto biases = mx::expand_dims(parts[2], -1);
  Fit best = fit_codes(exact, scales, biases, largest);
  for (float range : ranges) {
    auto s = mx::astype(scales, mx::float32);
    auto b = mx::astype(biases, mx::float32) +
        s * mx::array((1 - range) * largest / 2);
    Fit fit = fit_codes(
        exact,
        mx::astype(s * mx::array(range), scales.dtype()),
        mx::astype(b, scales.dtype()),
        largest);
    for (int i = 0; i < rounds; ++i) {
      fit = fit_line(exact, fit, largest);
      keep_better(best, fit);
    }
    mx::eval(best.codes, best.scales, best.biases, best.error);
  }
  parts[0] = pack_codes(mx::reshape(best.codes, w.shape()), packing.bits);
  parts[1] = mx::squeeze(best.scales, -1);
  parts[2] = mx::squeeze(best.biases, -1);
}

} // namespace mlx_audio::convert
