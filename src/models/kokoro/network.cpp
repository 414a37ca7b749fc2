#include "models/kokoro/network.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"

namespace mlx_audio::kokoro {

namespace {

namespace fs = std::filesystem;

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
      text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// mlx-audio saves its own module names and channels-last convolutions; they are
// turned back into the original's, which the layers read.
void to_original_layout(nn::Weights& weights) {
  bool mlx_layout = weights.has("predictor.lstm.Wx_forward");
  static const std::pair<const char*, const char*> lstm_names[] = {
      {".Wx_forward", ".weight_ih_l0"},
      {".Wh_forward", ".weight_hh_l0"},
      {".bias_ih_forward", ".bias_ih_l0"},
      {".bias_hh_forward", ".bias_hh_l0"},
      {".Wx_backward", ".weight_ih_l0_reverse"},
      {".Wh_backward", ".weight_hh_l0_reverse"},
      {".bias_ih_backward", ".bias_ih_l0_reverse"},
      {".bias_hh_backward", ".bias_hh_l0_reverse"}};
  if (mlx_layout) {
    for (auto& [name, tensor] : weights.tensors()) {
      bool conv = ends_with(name, ".weight_v") ||
          (ends_with(name, ".weight") && tensor.ndim() == 3);
      if (conv) {
        tensor = mx::transpose(tensor, {0, 2, 1});
      }
    }
  }
  weights.rename([&](const std::string& name) {
    for (const auto& [from, to] : lstm_names) {
      if (ends_with(name, from)) {
        return name.substr(0, name.size() - std::string(from).size()) + to;
      }
    }
    if (name.rfind("text_encoder.cnn.", 0) == 0 && ends_with(name, ".gamma")) {
      return name.substr(0, name.size() - 6) + ".weight";
    }
    if (name.rfind("text_encoder.cnn.", 0) == 0 && ends_with(name, ".beta")) {
      return name.substr(0, name.size() - 5) + ".bias";
    }
    return name;
  });
}

fs::path weights_file(const fs::path& folder) {
  // Python's converter leaves a copy of its source beside what it wrote.
  for (const char* name : {"model.safetensors", "kokoro-v1_0.safetensors"}) {
    if (fs::exists(folder / name)) {
      return folder / name;
    }
  }
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") {
      return entry.path();
    }
  }
  throw Error(
      ErrorKind::not_found,
      "no safetensors file in '" + folder.string() + "'",
      "convert a kokoro-v1_0.pth with `mlx-audio convert`");
}

} // namespace

std::unique_ptr<Network> Network::load(
    const std::string& folder,
    std::optional<mx::Dtype> dtype /* = std::nullopt */) {
  auto config = load_config(folder);
  auto weights = nn::Weights::load(weights_file(folder).string());
  weights.read_quantization(folder);
  to_original_layout(weights);
  if (dtype) {
    weights.cast(*dtype);
  }
  auto network = std::make_unique<Network>(weights, config);
  weights.expect_all_taken();
  return network;
}

Network::Network(nn::Weights& weights, const Config& config)
    : config_(config),
      weight_bytes_(weights.bytes()),
      bert_(weights, "bert", config),
      bert_encoder_(
          weights,
          "bert_encoder",
          config.plbert.hidden_size,
          config.hidden_dim),
      predictor_(weights, "predictor", config),
      text_encoder_(weights, "text_encoder", config),
      decoder_(weights, "decoder", config) {}

Network::Result Network::operator()(
    const std::vector<int>& ids,
    const mx::array& style,
    float speed,
    std::optional<uint64_t> noise_seed,
    Taps* taps /* = nullptr */) const {
  if (taps == nullptr && nn::dumping()) {
    Taps own;
    auto result = (*this)(ids, style, speed, noise_seed, &own);
    own.put("audio", result.samples);
    nn::dump(own);
    return result;
  }
  int count = static_cast<int>(ids.size());
  auto tokens = mx::array(ids.data(), {1, count}, mx::int32);
  auto parts = mx::split(mx::astype(style, mx::float32), 2, -1);
  const auto& acoustic = parts[0];
  const auto& prosodic = parts[1];

  auto bert = bert_(tokens);
  tap(taps, "bert", bert);
  auto d_en = bert_encoder_(bert);
  tap(taps, "d_en", d_en);
  auto encoded = predictor_.encode(d_en, prosodic);
  tap(taps, "dur_encoder", encoded);
  auto logits = predictor_.duration_logits(encoded);
  tap(taps, "duration_logits", logits);
  auto lengths = mx::reshape(
      mx::sum(mx::sigmoid(mx::astype(logits, mx::float32)), -1), {count});
  auto text = text_encoder_(tokens);
  tap(taps, "text_encoder", text);
  mx::eval(lengths, text, encoded);

  std::vector<int> durations(count);
  std::vector<int> frames;
  for (int i = 0; i < count; ++i) {
    float length = lengths.data<float>()[i] / speed;
    // Half to even, as torch rounds; NaN becomes one frame.
    durations[i] = length > 1 ? static_cast<int>(std::nearbyint(length)) : 1;
    frames.insert(frames.end(), durations[i], i);
  }
  auto index =
      mx::array(frames.data(), {static_cast<int>(frames.size())}, mx::int32);
  auto curves = predictor_.curves(mx::take(encoded, index, 1), prosodic);
  tap(taps, "F0", curves.f0);
  tap(taps, "N", curves.energy);
  auto aligned = mx::take(text, index, 1);
  tap(taps, "asr", aligned);
  auto samples =
      decoder_(aligned, curves.f0, curves.energy, acoustic, noise_seed, taps);
  return {durations, mx::reshape(samples, {-1})};
}

} // namespace mlx_audio::kokoro
