#include <utility>

#include "convert/whisper.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

using checkpoint::LazyTensor;
using nlohmann::json;

void replace(
    std::string& text,
    const std::string& from,
    const std::string& to) {
  size_t at = text.find(from);
  if (at != std::string::npos) {
    text.replace(at, from.size(), to);
  }
}

// Parts of transformers' names and of openai-whisper's, in mlx-audio's words.
// A part that holds another stands before it.
constexpr std::pair<const char*, const char*> transformers_names[] = {
    {"embed_tokens.", "token_embedding."},
    {"embed_positions.weight", "positional_embedding"},
    {"encoder.layer_norm.", "encoder.ln_post."},
    {"decoder.layer_norm.", "decoder.ln."},
    {".layers.", ".blocks."},
    {".self_attn_layer_norm.", ".attn_ln."},
    {".encoder_attn_layer_norm.", ".cross_attn_ln."},
    {".final_layer_norm.", ".mlp_ln."},
    {".self_attn.", ".attn."},
    {".encoder_attn.", ".cross_attn."},
    {".q_proj.", ".query."},
    {".k_proj.", ".key."},
    {".v_proj.", ".value."},
    {".out_proj.", ".out."},
    {".fc1.", ".mlp1."},
    {".fc2.", ".mlp2."}};
constexpr std::pair<const char*, const char*> openai_names[] = {
    {".mlp.0.", ".mlp1."},
    {".mlp.2.", ".mlp2."}};

} // namespace

std::vector<LazyTensor> whisper_to_mlx(std::vector<LazyTensor> tensors) {
  bool transformers = false;
  bool openai = false;
  for (auto& tensor : tensors) {
    if (tensor.name.rfind("model_state_dict.", 0) == 0) {
      tensor.name.erase(0, 17);
    }
    transformers = transformers || tensor.name.rfind("model.", 0) == 0;
    openai = openai || tensor.name.find(".mlp.0.") != std::string::npos;
  }
  if (!transformers && !openai) {
    return tensors; // mlx-audio's already
  }
  std::vector<LazyTensor> out;
  for (auto& tensor : tensors) {
    std::string name = tensor.name;
    if (transformers) {
      replace(name, "model.", "");
      for (const auto& [from, to] : transformers_names) {
        replace(name, from, to);
      }
    } else {
      for (const auto& [from, to] : openai_names) {
        replace(name, from, to);
      }
    }
    // The output layer is the token embedding; the sinusoids are computed.
    if (name == "proj_out.weight" || name == "encoder.positional_embedding" ||
        name == "encoder.embed_positions") {
      continue;
    }
    if ((name == "encoder.conv1.weight" || name == "encoder.conv2.weight") &&
        tensor.shape.size() == 3) {
      tensor = checkpoint::transpose(std::move(tensor), {0, 2, 1});
    }
    tensor.name = name;
    out.push_back(std::move(tensor));
  }
  return out;
}

json whisper_config(json config) {
  static constexpr std::pair<const char*, const char*> names[] = {
      {"n_mels", "num_mel_bins"},
      {"n_audio_ctx", "max_source_positions"},
      {"n_audio_state", "d_model"},
      {"n_audio_head", "encoder_attention_heads"},
      {"n_audio_layer", "encoder_layers"},
      {"n_vocab", "vocab_size"},
      {"n_text_ctx", "max_target_positions"},
      {"n_text_state", "d_model"},
      {"n_text_head", "decoder_attention_heads"},
      {"n_text_layer", "decoder_layers"}};
  for (const auto& [mlx, transformers] : names) {
    if (!config.contains(mlx)) {
      auto found = config.find(transformers);
      if (found == config.end() || !found->is_number_integer()) {
        throw Error(
            ErrorKind::corrupt_data,
            std::string("the Whisper checkpoint's config lacks '") + mlx +
                "' or '" + transformers + "'");
      }
      json value = *found;
      config[mlx] = std::move(value);
    }
  }
  return config;
}

} // namespace mlx_audio::convert
