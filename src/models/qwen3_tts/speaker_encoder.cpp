#include "models/qwen3_tts/speaker_encoder.h"

#include <cmath>
#include <numbers>

#include "mlx_audio/error.h"

namespace mlx_audio::qwen3_tts {

namespace {

constexpr int kWindow = 1024;
constexpr int kHop = 256;
constexpr double kRate = 24000;
constexpr double kHighest = 12000;

// Slaney's scale: linear to 1 kHz, logarithmic above.
double to_mel(double hz) {
  return hz < 1000 ? hz * 3 / 200
                   : 15 + std::log(hz / 1000) * 27 / std::log(6.4);
}

double to_hz(double mel) {
  return mel < 15 ? mel * 200 / 3
                  : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
}

// Triangles of equal area, [bins, bands].
mx::array mel_bank(int bands) {
  int bins = kWindow / 2 + 1;
  std::vector<double> edges(bands + 2);
  for (int i = 0; i < bands + 2; ++i) {
    edges[i] = to_hz(to_mel(kHighest) * i / (bands + 1));
  }
  std::vector<float> bank(static_cast<size_t>(bins) * bands);
  for (int b = 0; b < bins; ++b) {
    double hz = b * kRate / kWindow;
    for (int m = 0; m < bands; ++m) {
      double up = (hz - edges[m]) / (edges[m + 1] - edges[m]);
      double down = (edges[m + 2] - hz) / (edges[m + 2] - edges[m + 1]);
      double height = std::max(0.0, std::min(up, down));
      bank[static_cast<size_t>(b) * bands + m] =
          static_cast<float>(height * 2 / (edges[m + 2] - edges[m]));
    }
  }
  return mx::array(bank.data(), {bins, bands});
}

// x with `count` samples mirrored at each end, without the end itself;
// along axis 1 of [batch, time, channels].
mx::array mirror(const mx::array& x, int count) {
  if (count == 0) {
    return x;
  }
  int time = x.shape(1);
  if (time <= count) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio is too short",
        "give at least 0.3 s of speech");
  }
  std::vector<int> index;
  for (int i = -count; i < time + count; ++i) {
    index.push_back(i < 0 ? -i : (i < time ? i : 2 * (time - 1) - i));
  }
  return mx::take(
      x, mx::array(index.data(), {static_cast<int>(index.size())}), 1);
}

mx::array relu(const mx::array& x) {
  return mx::maximum(x, mx::array(0.0f));
}

mx::array channels(const mx::array& x, int from, int to) {
  return mx::slice(x, {0, 0, from}, {x.shape(0), x.shape(1), to});
}

// Mean and standard deviation over time under weights that sum to 1.
std::pair<mx::array, mx::array> statistics(
    const mx::array& x,
    const mx::array& weights) {
  auto mean = mx::sum(weights * x, 1, true);
  auto var = mx::sum(weights * mx::square(x - mean), 1, true);
  return {mean, mx::sqrt(mx::maximum(var, mx::array(1e-12f)))};
}

} // namespace

mx::array speaker_mel(const mx::array& samples, int bands) {
  auto x = mirror(
      mx::reshape(mx::astype(samples, mx::float32), {1, -1, 1}),
      (kWindow - kHop) / 2);
  int length = x.shape(1);
  int frames = (length - kWindow) / kHop + 1;
  if (length < kWindow) {
    throw Error(
        ErrorKind::invalid_argument,
        "the reference audio is too short",
        "give at least 0.3 s of speech");
  }
  std::vector<float> window(kWindow);
  for (int i = 0; i < kWindow; ++i) {
    window[i] = static_cast<float>(
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / kWindow));
  }
  auto pieces = mx::as_strided(
      mx::contiguous(mx::reshape(x, {length})),
      {frames, kWindow},
      {kHop, 1},
      0);
  auto spectrum =
      mx::fft::rfft(pieces * mx::array(window.data(), {kWindow}), kWindow, -1);
  auto power = mx::square(mx::real(spectrum)) + mx::square(mx::imag(spectrum));
  auto magnitude = mx::sqrt(power + mx::array(1e-9f));
  auto mel = mx::matmul(magnitude, mel_bank(bands));
  return mx::log(mx::maximum(mel, mx::array(1e-5f)));
}

SpeakerEncoder::Conv::Conv(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out,
    int kernel,
    int dilation /* = 1 */)
    : conv(weights, path, layout, in, out, kernel, {.dilation = dilation}),
      reach((kernel - 1) * dilation / 2) {}

mx::array SpeakerEncoder::Conv::operator()(const mx::array& x) const {
  return conv(mirror(x, reach));
}

SpeakerEncoder::SpeakerEncoder(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    const SpeakerEncoderConfig& c)
    : first_(
          weights,
          path + ".blocks.0.conv",
          layout,
          c.mel_dim,
          c.channels[0],
          c.kernels[0],
          c.dilations[0]),
      aggregate_(
          weights,
          path + ".mfa.conv",
          layout,
          c.channels.back(),
          c.channels.back(),
          c.kernels.back(),
          c.dilations.back()),
      attention_in_(
          weights,
          path + ".asp.tdnn.conv",
          layout,
          3 * c.channels.back(),
          c.attention,
          1),
      attention_out_(
          weights,
          path + ".asp.conv",
          layout,
          c.attention,
          c.channels.back(),
          1),
      out_(weights, path + ".fc", layout, 2 * c.channels.back(), c.out, 1) {
  for (size_t i = 1; i + 1 < c.channels.size(); ++i) {
    std::string at = path + ".blocks." + std::to_string(i);
    int width = c.channels[i];
    int part = width / c.scale;
    std::vector<Conv> parts;
    for (int j = 0; j + 1 < c.scale; ++j) {
      parts.emplace_back(
          weights,
          at + ".res2net_block.blocks." + std::to_string(j) + ".conv",
          layout,
          part,
          part,
          c.kernels[i],
          c.dilations[i]);
    }
    blocks_.push_back(
        {Conv(weights, at + ".tdnn1.conv", layout, c.channels[i - 1], width, 1),
         std::move(parts),
         Conv(weights, at + ".tdnn2.conv", layout, width, width, 1),
         Conv(weights, at + ".se_block.conv1", layout, width, c.se, 1),
         Conv(weights, at + ".se_block.conv2", layout, c.se, width, 1)});
  }
}

mx::array SpeakerEncoder::block(const Block& b, const mx::array& x) const {
  auto y = relu(b.tdnn1(x));
  int scale = static_cast<int>(b.parts.size()) + 1;
  int part = y.shape(2) / scale;
  std::vector<mx::array> outputs{channels(y, 0, part)};
  for (int i = 1; i < scale; ++i) {
    auto piece = channels(y, i * part, (i + 1) * part);
    auto input = i == 1 ? piece : piece + outputs.back();
    outputs.push_back(relu(b.parts[i - 1](input)));
  }
  y = relu(b.tdnn2(mx::concatenate(outputs, 2)));
  auto gate = relu(b.squeeze(mx::mean(y, 1, true)));
  return y * mx::sigmoid(b.excite(gate)) + x;
}

mx::array SpeakerEncoder::operator()(const mx::array& mel) const {
  auto x = relu(first_(mx::expand_dims(mx::astype(mel, mx::float32), 0)));
  std::vector<mx::array> outputs;
  for (const Block& b : blocks_) {
    x = block(b, x);
    outputs.push_back(x);
  }
  x = relu(aggregate_(mx::concatenate(outputs, 2)));

  // Attentive statistics pooling (Okabe et al. 2018).
  int time = x.shape(1);
  auto [mean, deviation] =
      statistics(x, mx::array(1.0f / static_cast<float>(time)));
  auto context = mx::concatenate(
      {x,
       mx::broadcast_to(mean, x.shape()),
       mx::broadcast_to(deviation, x.shape())},
      2);
  auto scores = attention_out_(mx::tanh(relu(attention_in_(context))));
  auto [m, d] = statistics(x, mx::softmax(scores, {1}, true));
  return mx::reshape(out_(mx::concatenate({m, d}, 2)), {-1});
}

} // namespace mlx_audio::qwen3_tts
