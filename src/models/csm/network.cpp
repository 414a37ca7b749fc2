#include "models/csm/network.h"

#include <filesystem>

#include "mlx_audio/error.h"
#include "nn/load.h"

namespace mlx_audio::csm {

namespace {

const char* const kCodecFile = "tokenizer-e351c8d8-checkpoint125.safetensors";

void replace(
    std::string& name,
    const std::string& from,
    const std::string& to) {
  size_t at = name.find(from);
  if (at != std::string::npos) {
    name.replace(at, from.size(), to);
  }
}

// From torchtune's names, and mlx-community's with their prefix, to those that
// nn::Decoder takes.
std::string renamed(std::string name) {
  if (name.starts_with("model.")) {
    name = name.substr(6);
  }
  replace(name, ".attn.", ".self_attn.");
  replace(name, ".output_proj.", ".o_proj.");
  replace(name, ".mlp.w1.", ".mlp.gate_proj.");
  replace(name, ".mlp.w2.", ".mlp.down_proj.");
  replace(name, ".mlp.w3.", ".mlp.up_proj.");
  replace(name, ".sa_norm.scale", ".input_layernorm.weight");
  replace(name, ".mlp_norm.scale", ".post_attention_layernorm.weight");
  replace(name, ".norm.scale", ".norm.weight");
  return name;
}

std::string codec_file(const std::string& folder) {
  for (const char* place : {"/mimi/", "/"}) {
    std::string path = folder + place + kCodecFile;
    if (std::filesystem::exists(path)) {
      return path;
    }
  }
  throw Error(
      ErrorKind::not_found,
      "no codec at '" + folder + "/mimi/" + kCodecFile + "'",
      "put that file of kyutai/moshiko-pytorch-bf16 there");
}

} // namespace

std::unique_ptr<Network> Network::load(
    const std::string& folder,
    std::optional<mx::Dtype> dtype /* = std::nullopt */) {
  auto config = read_config(folder);
  auto generation = read_generation_config(folder);
  auto codec_path = codec_file(folder);
  auto loaded = nn::load_weights(folder);
  loaded.weights.rename(renamed);
  if (dtype) {
    loaded.weights.cast(*dtype);
  }
  uint64_t bytes = loaded.weights.bytes();
  Talker talker(loaded.weights, config);
  loaded.weights.expect_all_taken();
  auto codec = codecs::mimi::Codec::load(codec_path, config.codec);
  return std::make_unique<Network>(Network{
      std::move(config),
      generation,
      std::move(talker),
      std::move(codec),
      bytes});
}

} // namespace mlx_audio::csm
