#include "testing/models.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <vector>

namespace mlx_audio::testing {

namespace mx = mlx::core;

namespace {

constexpr int n_fft = 1024;
constexpr int hop = 256;
constexpr int bands = 80;
constexpr double sample_rate = 24000;

// [bins, bands] triangles between floored bins on the HTK scale.
mx::array mel_bank() {
  double top = 2595 * std::log10(1 + sample_rate / 2 / 700);
  std::vector<int> edges(bands + 2);
  for (int i = 0; i < bands + 2; ++i) {
    double hz = 700 * (std::pow(10, top * i / (bands + 1) / 2595) - 1);
    edges[i] = static_cast<int>(std::floor((n_fft + 1) * hz / sample_rate));
  }
  int bins = n_fft / 2 + 1;
  std::vector<float> bank(static_cast<size_t>(bins) * bands);
  for (int m = 0; m < bands; ++m) {
    int a = edges[m];
    int b = std::max(edges[m + 1], a + 1);
    int c = std::max(edges[m + 2], b + 1);
    for (int k = a; k < b; ++k) {
      bank[k * bands + m] = static_cast<float>(k - a) / (b - a);
    }
    for (int k = b; k < std::min(c, bins); ++k) {
      bank[k * bands + m] = static_cast<float>(c - k) / (c - b);
    }
  }
  return mx::array(bank.data(), {bins, bands}, mx::float32);
}

mx::array log_mel(const mx::array& samples, int frames) {
  int needed = (frames - 1) * hop + n_fft;
  int length = static_cast<int>(samples.size());
  auto x = mx::astype(samples, mx::float32);
  x = needed > length ? mx::pad(x, {0, needed - length})
                      : mx::slice(x, {0}, {needed});
  auto framed = mx::as_strided(mx::contiguous(x), {frames, n_fft}, {hop, 1}, 0);
  auto n = mx::arange(n_fft, mx::float32);
  auto window = mx::array(0.5f) -
      mx::array(0.5f) *
          mx::cos(n * mx::array(static_cast<float>(2 * M_PI / n_fft)));
  auto power = mx::square(mx::abs(mx::fft::rfft(framed * window, -1)));
  return mx::log10(
      mx::maximum(mx::matmul(power, mel_bank()), mx::array(1e-8f)));
}

} // namespace

std::string model_folder(const std::string& name) {
  const char* home = std::getenv("MLX_AUDIO_HOME");
  std::filesystem::path root = home != nullptr
      ? std::filesystem::path(home)
      : std::filesystem::path(std::getenv("HOME")) / ".cache" / "mlx-audio";
  auto folder = root / "models" / name;
  if (!std::filesystem::exists(folder / "config.json")) {
    throw std::runtime_error(
        "model '" + folder.string() +
        "' is missing: run scripts/import-models " + name);
  }
  return folder.string();
}

std::pair<double, double> log_mel_to_golden(
    const mx::array& samples,
    const mx::array& mel) {
  auto want = mx::flatten(mx::astype(mel, mx::float32));
  auto got = mx::flatten(log_mel(samples, mel.shape(0)));
  auto distance = mx::mean(mx::abs(want - got)).item<float>();
  auto a = want - mx::mean(want);
  auto b = got - mx::mean(got);
  auto correlation = mx::sum(a * b) /
      mx::sqrt(mx::sum(mx::square(a)) * mx::sum(mx::square(b)));
  return {distance, correlation.item<float>()};
}

double log_mel_distance(const mx::array& a, const mx::array& b) {
  int length = static_cast<int>(std::min(a.size(), b.size()));
  int frames = std::max(1, 1 + (length - n_fft) / hop);
  auto difference = log_mel(mx::slice(a, {0}, {length}), frames) -
      log_mel(mx::slice(b, {0}, {length}), frames);
  return mx::mean(mx::abs(difference)).item<float>();
}

} // namespace mlx_audio::testing
