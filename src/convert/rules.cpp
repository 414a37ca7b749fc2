#include <algorithm>
#include <map>

#include "convert/quantize.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() < 6 &&
      text.find_first_not_of("0123456789") == std::string::npos;
}

// "a.layers.3.mlp.down_proj" -> {"a.layers", 3}; {"", 0} without a number.
std::pair<std::string, int> stack_of(const std::string& path) {
  size_t start = 0;
  while (start < path.size()) {
    size_t end = std::min(path.find('.', start), path.size());
    std::string part = path.substr(start, end - start);
    if (is_number(part)) {
      return {path.substr(0, start), std::stoi(part)};
    }
    start = end + 1;
  }
  return {"", 0};
}

// Value and down projections under the names that models have for them.
bool is_wide(const std::string& path) {
  for (const char* name :
       {"v_proj",
        "v_a_proj",
        "v_b_proj",
        "down_proj",
        "attention.value",
        "attn.value",
        "mlp2",
        "fc2",
        "ffn_output",
        ".to_v.",
        ".to_out.",
        ".w2"}) {
    if (has(path, name)) {
      return true;
    }
  }
  return false;
}

// What turns hidden states into logits; Whisper's is its token embedding.
bool is_head(const std::string& path) {
  return has(path, "lm_head") || has(path, "decoder.token_embedding");
}

} // namespace

Packing packing_of(const QuantizeOptions& options) {
  static const std::map<std::string, Packing> defaults = {
      {"affine", {4, 64, "affine"}},
      {"mxfp4", {4, 32, "mxfp4"}},
      {"nvfp4", {4, 16, "nvfp4"}},
      {"mxfp8", {8, 32, "mxfp8"}}};
  auto found = defaults.find(options.mode);
  if (found == defaults.end()) {
    throw Error(
        ErrorKind::invalid_argument,
        "unknown quantization mode '" + options.mode + "'",
        "use affine, mxfp4, nvfp4 or mxfp8");
  }
  Packing packing = found->second;
  bool affine = options.mode == "affine";
  int bits = options.bits.value_or(packing.bits);
  int group = options.group_size.value_or(packing.group_size);
  if (affine ? bits < 2 || bits > 8 || bits == 7 : bits != packing.bits) {
    throw Error(
        ErrorKind::invalid_argument,
        std::to_string(bits) + " bits are not offered in mode " + options.mode,
        affine ? "use 2, 3, 4, 5, 6 or 8"
               : "use " + std::to_string(packing.bits));
  }
  if (affine ? group != 32 && group != 64 && group != 128
             : group != packing.group_size) {
    throw Error(
        ErrorKind::invalid_argument,
        "a group size of " + std::to_string(group) +
            " is not offered in mode " + options.mode,
        affine ? "use 32, 64 or 128"
               : "use " + std::to_string(packing.group_size));
  }
  packing.bits = bits;
  packing.group_size = group;
  return packing;
}

bool may_quantize(const std::string& model_type, const std::string& path) {
  if (model_type == "kokoro" || model_type == "whisper" ||
      model_type.rfind("mossformer2", 0) == 0) {
    return true;
  }
  if (model_type == "qwen3_tts") {
    return !has(path, "codec_embedding") && !has(path, "text_embedding") &&
        !has(path, "speech_tokenizer") && !has(path, "speaker_encoder");
  }
  if (model_type == "csm" || model_type == "sesame") {
    return path.rfind("_audio_tokenizer", 0) != 0;
  }
  if (model_type == "vibevoice_asr" || model_type == "vibevoice") {
    return path.rfind("language_model", 0) == 0 ||
        path.rfind("model.language_model", 0) == 0 ||
        path.rfind("lm_head", 0) == 0;
  }
  for (const char* fragile :
       {"codec",
        "tokenizer",
        "vae",
        "vocoder",
        "quantizer",
        "codebook",
        "speaker_encoder"}) {
    if (has(path, fragile)) {
      return false;
    }
  }
  return true;
}

std::vector<int>
mixed_bits(const std::vector<std::string>& paths, int low, int high) {
  std::map<std::string, int> counts;
  for (const auto& path : paths) {
    auto [stack, index] = stack_of(path);
    int& count = counts[stack];
    count = std::max(count, index + 1);
  }
  std::vector<int> bits;
  for (const auto& path : paths) {
    auto [stack, index] = stack_of(path);
    int count = counts[stack];
    bool precise = index < count / 8 || index >= 7 * count / 8 ||
        (index - count / 8) % 3 == 2;
    bits.push_back(is_head(path) || (is_wide(path) && precise) ? high : low);
  }
  return bits;
}

} // namespace mlx_audio::convert
