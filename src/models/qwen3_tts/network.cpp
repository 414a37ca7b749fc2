#include "models/qwen3_tts/network.h"

#include "mlx_audio/error.h"
#include "nn/load.h"

namespace mlx_audio::qwen3_tts {

std::unique_ptr<Network> Network::load(
    const std::string& folder,
    std::optional<mx::Dtype> dtype /* = std::nullopt */) {
  auto config = read_config(folder);
  auto generation = read_generation_config(folder);
  auto loaded = nn::load_weights(folder);
  if (dtype) {
    loaded.weights.cast(*dtype);
  }
  uint64_t bytes = loaded.weights.bytes();
  // As in the original, one type for talker and speech tokenizer.
  auto norm = loaded.weights.tensors().find("talker.model.norm.weight");
  bool half = norm != loaded.weights.tensors().end() &&
      norm->second.dtype() != mx::float32;
  std::optional<SpeakerEncoder> speaker_encoder;
  if (config.speaker_encoder) {
    speaker_encoder.emplace(
        loaded.weights,
        "speaker_encoder",
        loaded.conv_layout,
        *config.speaker_encoder);
  }
  Talker talker(loaded.weights, config);
  loaded.weights.expect_all_taken();
  auto tokenizer = codecs::qwen3::Tokenizer::load(
      folder + "/speech_tokenizer", config.kind == Kind::base, half);
  const auto& codec = tokenizer->config().decoder;
  if (codec.groups != config.groups || codec.codebook != config.codebook) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + folder + "': the talker makes " + std::to_string(config.groups) +
            " codes of " + std::to_string(config.codebook) +
            ", the speech tokenizer takes " + std::to_string(codec.groups) +
            " of " + std::to_string(codec.codebook),
        "is speech_tokenizer/ the one of this checkpoint?");
  }
  return std::make_unique<Network>(Network{
      std::move(config),
      generation,
      std::move(talker),
      std::move(speaker_encoder),
      std::move(tokenizer),
      bytes});
}

} // namespace mlx_audio::qwen3_tts
