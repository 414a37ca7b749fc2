#include "models/silero_vad/speech.h"

#include <algorithm>
#include <filesystem>

#include "mlx_audio/error.h"

namespace mlx_audio::silero_vad {

namespace {

constexpr int kFft = 256;
constexpr int kStep = 128;
constexpr int kBins = kFft / 2 + 1;
constexpr int kHidden = 128;
constexpr int kTail = 64; // samples that are reflected at a chunk's end
constexpr size_t kChunksAtOnce = 512;

nn::Weights load(const std::string& folder) {
  auto path = std::filesystem::path(folder) / "model.safetensors";
  return nn::Weights::load(path.string());
}

// A convolution as a linear layer of `kernel` frames side by side: the frames
// of a chunk are too few for anything else to pay.
nn::Linear conv(
    nn::Weights& weights,
    const std::string& name,
    int in,
    int out,
    int kernel,
    bool bias = true) {
  auto w = weights.take(name + ".weight", {out, in, kernel});
  kernels::LinearWeight linear{
      .weight = mx::contiguous(
          mx::reshape(mx::transpose(w, {0, 2, 1}), {out, kernel * in}))};
  if (bias) {
    linear.bias = weights.take(name + ".bias", {out});
  }
  mx::eval(linear.weight);
  return nn::Linear(std::move(linear));
}

// x [chunks, frames, width] -> every stride-th frame with its neighbours,
// [chunks, frames / stride, 3 width]; around a chunk lies silence.
mx::array triples(const mx::array& x, int stride) {
  auto padded = mx::contiguous(mx::pad(x, {{0, 0}, {1, 1}, {0, 0}}));
  int frames = (x.shape(1) + stride - 1) / stride;
  int width = x.shape(2);
  return mx::as_strided(
      padded,
      {x.shape(0), frames, 3 * width},
      {static_cast<int64_t>(x.shape(1) + 2) * width, stride * width, 1},
      0);
}

mx::array relu(const mx::array& x) {
  return mx::maximum(x, mx::array(0.0f));
}

} // namespace

SileroVad::SileroVad(const std::string& folder)
    : weights_(load(folder)),
      stft_(conv(weights_, "stft_conv", 1, 2 * kBins, kFft, false)),
      conv1_(conv(weights_, "conv1", kBins, 128, 3)),
      conv2_(conv(weights_, "conv2", 128, 64, 3)),
      conv3_(conv(weights_, "conv3", 64, 64, 3)),
      conv4_(conv(weights_, "conv4", 64, 128, 3)),
      lstm_{
          weights_.take("lstm_cell.weight_ih", {4 * kHidden, kHidden}),
          weights_.take("lstm_cell.weight_hh", {4 * kHidden, kHidden}),
          weights_.take("lstm_cell.bias_ih", {4 * kHidden}) +
              weights_.take("lstm_cell.bias_hh", {4 * kHidden})},
      out_(conv(weights_, "final_conv", kHidden, 1, 1)) {
  weights_.expect_all_taken();
}

std::vector<float> SileroVad::run(std::span<const float> samples, State& state)
    const {
  size_t chunks = samples.size() / kChunk;
  state.context.resize(kContext); // silence before the first sample
  constexpr size_t width = kContext + kChunk + kTail;
  std::vector<float> rows(chunks * width);
  for (size_t i = 0; i < chunks; ++i) {
    float* row = rows.data() + i * width;
    const float* chunk = samples.data() + i * kChunk;
    if (i == 0) {
      std::copy(state.context.begin(), state.context.end(), row);
    } else {
      std::copy_n(chunk - kContext, kContext, row);
    }
    std::copy_n(chunk, kChunk, row + kContext);
    for (size_t j = 0; j < kTail; ++j) { // reflected without the last sample
      row[kContext + kChunk + j] = row[kContext + kChunk - 2 - j];
    }
  }
  state.context.assign(
      samples.begin() + static_cast<std::ptrdiff_t>(chunks * kChunk - kContext),
      samples.begin() + static_cast<std::ptrdiff_t>(chunks * kChunk));
  auto n = static_cast<int>(chunks);
  auto x = stft_(
      mx::as_strided(
          mx::array(rows.begin(), {n, static_cast<int>(width)}),
          {n, static_cast<int>((width - kFft) / kStep) + 1, kFft},
          {static_cast<int64_t>(width), kStep, 1},
          0));
  auto parts = mx::split(x, 2, -1);
  x = mx::sqrt(mx::square(parts[0]) + mx::square(parts[1]));
  x = relu(conv1_(triples(x, 1)));
  x = relu(conv2_(triples(x, 2)));
  x = relu(conv3_(triples(x, 2)));
  x = relu(conv4_(triples(x, 1))); // [chunks, 1, 128]
  auto result = kernels::lstm(
      mx::reshape(x, {1, n, kHidden}), lstm_, false, state.h, state.c);
  auto p = mx::contiguous(
      mx::sigmoid(mx::astype(out_(relu(result.output)), mx::float32)));
  state.h = result.h;
  state.c = result.c;
  mx::eval({p, result.h, result.c});
  return {p.data<float>(), p.data<float>() + chunks};
}

std::vector<float> SileroVad::process(
    std::span<const float> samples,
    State& state,
    bool last /* = false */) const {
  auto& pending = state.pending;
  pending.insert(pending.end(), samples.begin(), samples.end());
  if (last && pending.size() % kChunk != 0) {
    pending.resize((pending.size() / kChunk + 1) * kChunk);
  }
  std::vector<float> all;
  size_t at = 0;
  while (pending.size() - at >= kChunk) {
    size_t chunks = std::min((pending.size() - at) / kChunk, kChunksAtOnce);
    auto some = run(
        std::span<const float>(pending).subspan(at, chunks * kChunk), state);
    all.insert(all.end(), some.begin(), some.end());
    at += chunks * kChunk;
  }
  pending.erase(
      pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(at));
  return all;
}

} // namespace mlx_audio::silero_vad
