#include "codecs/qwen3_tokenizer/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"
#include "nn/load.h"

namespace mlx_audio::codecs::qwen3 {

namespace {

// Frames decoded at once: 2 s keep the convolutions efficient in about 100 MB.
constexpr int kPiece = 25;

// Codebooks and vectors stay as they are.
void halve_decoder(nn::Weights& weights) {
  for (auto& [name, tensor] : weights.tensors()) {
    bool matrix =
        tensor.ndim() >= 2 && name.find("_codebook.") == std::string::npos;
    if (matrix && name.starts_with("decoder.") &&
        tensor.dtype() == mx::float32) {
      tensor = mx::astype(tensor, mx::bfloat16);
    }
  }
}

} // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(
    const std::string& folder,
    bool with_encoder /* = true */,
    bool half /* = false */) {
  if (!std::filesystem::exists(folder + "/config.json")) {
    throw Error(
        ErrorKind::not_found,
        "no speech tokenizer at '" + folder + "'",
        "the checkpoint needs its folder speech_tokenizer/ with config.json "
        "and model.safetensors");
  }
  auto config = parse_config(checkpoint::read_json(folder + "/config.json"));
  auto loaded = nn::load_weights(folder);
  if (half) {
    halve_decoder(loaded.weights);
  }
  auto tokenizer = std::make_unique<Tokenizer>(
      loaded.weights, loaded.conv_layout, config, with_encoder);
  loaded.weights.expect_all_taken();
  return tokenizer;
}

Tokenizer::Tokenizer(
    nn::Weights& weights,
    nn::ConvLayout layout,
    const Config& config,
    bool with_encoder)
    : config_(config), decoder_(weights, "decoder", layout, config.decoder) {
  if (with_encoder) {
    encoder_.emplace(weights, "encoder", layout, config.encoder);
    return;
  }
  for (const auto& [name, tensor] : weights.tensors()) {
    if (name.starts_with("encoder.")) {
      weights.ignore(name);
    }
  }
}

mx::array Tokenizer::decode(const mx::array& codes, Decoder::State& state)
    const {
  return decode_in_pieces(codes, state, kPiece, [&](const mx::array& piece) {
    return decoder_(piece, state);
  });
}

mx::array Tokenizer::encode(
    const mx::array& samples,
    mimi::Taps* taps /* = nullptr */) const {
  if (!encoder_) {
    throw std::logic_error("[Tokenizer] loaded without its encoder.");
  }
  auto codes = (*encoder_)(samples, taps);
  int whole = static_cast<int>(
      (samples.size() + config_.encode_samples - 1) / config_.encode_samples);
  int frames = std::min(codes.shape(0), whole);
  codes = mx::slice(codes, {0, 0}, {frames, codes.shape(1)});
  codes.eval();
  return codes;
}

} // namespace mlx_audio::codecs::qwen3
