#include "models/vibevoice_asr/weight_names.h"

namespace mlx_audio::vibevoice_asr {

namespace {

constexpr const char* kLanguageModel = "language_model.";

bool starts(const std::string& name, const std::string& prefix) {
  return name.compare(0, prefix.size(), prefix) == 0;
}

bool has(const std::string& name, const std::string& part) {
  return name.find(part) != std::string::npos;
}

void replace(std::string& name, const std::string& from, const char* to) {
  auto at = name.find(from);
  if (at != std::string::npos) {
    name.replace(at, from.size(), to);
  }
}

} // namespace

std::string canonical_name(std::string name) {
  if (starts(name, "model.")) {
    name.erase(0, 6);
  }
  // Checkpoints also hold what makes sound out of latents, the deviation of
  // latents drawn in training, and tables that are computed here.
  if (starts(name, "acoustic_tokenizer.decoder.") || has(name, "fix_std") ||
      has(name, "position_ids") || has(name, "rotary_emb.inv_freq")) {
    return "";
  }
  if (has(name, "_tokenizer.encoder.")) {
    if (has(name, ".downsample_layers.")) {
      replace(name, ".0.conv.conv.", ".conv.");
    }
    replace(name, ".head.conv.conv.", ".head.conv.");
    replace(name, ".mixer.conv.conv.conv.", ".mixer.conv.conv.");
  }
  if (starts(name, "lm_head.")) {
    return kLanguageModel + name;
  }
  for (const char* part : {"layers.", "embed_tokens.", "norm."}) {
    if (starts(name, std::string(kLanguageModel) + part)) {
      name.insert(std::string(kLanguageModel).size(), "model.");
    }
  }
  return name;
}

} // namespace mlx_audio::vibevoice_asr
