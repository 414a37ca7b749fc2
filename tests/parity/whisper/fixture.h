// What the Whisper parity tests share: models of the local store, clips and
// goldens made by shared/parity/whisper.py with openai-whisper 20250625 in f32.
#pragma once

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "hub/store.h"
#include "mlx_audio/audio.h"
#include "models/whisper/decoding.h"
#include "models/whisper/mel.h"
#include "models/whisper/model.h"
#include "models/whisper/tokenizer.h"
#include "gtest/gtest.h"

namespace mlx_audio::whisper {

inline std::string data_path(const std::string& name) {
  return std::string(TEST_DATA_DIR) + "/whisper/" + name;
}

/// A clip's samples, 16 kHz. "long" is the five English clips twice, each
/// followed by half a second of silence.
inline std::vector<float> clip(const std::string& name) {
  if (name == "silence") {
    return std::vector<float>(2 * kSampleRate);
  }
  if (name != "long") {
    return read_audio(data_path(name + ".flac")).samples;
  }
  std::vector<float> all;
  for (int i = 0; i < 10; ++i) {
    auto part = clip("en" + std::to_string(i % 5 + 1));
    all.insert(all.end(), part.begin(), part.end());
    all.insert(all.end(), kSampleRate / 2, 0.0f);
  }
  return all;
}

struct Reference {
  std::string folder; // of the model
  WhisperConfig config;
  std::shared_ptr<WhisperModel> model;
  std::shared_ptr<WhisperTokenizer> tokenizer;
  nlohmann::json golden_case;
  std::map<std::string, mx::array> golden;
};

/// Loaded once a process; `name` is base or tiny.en.
inline const Reference& reference(const std::string& name) {
  static std::map<std::string, Reference> loaded;
  auto found = loaded.find(name);
  if (found != loaded.end()) {
    return found->second;
  }
  Reference r;
  r.folder = hub::find_local_model("whisper-" + name);
  if (r.folder.empty()) {
    throw std::runtime_error(
        "whisper-" + name + " is not in the store: run scripts/import-models");
  }
  r.config = load_config(r.folder);
  r.model = std::make_shared<WhisperModel>(
      r.config, load_checkpoint(r.folder), Precision{});
  r.tokenizer =
      std::make_shared<WhisperTokenizer>(load_tokenizer(r.folder, r.config));
  std::ifstream in(data_path(name + "/case.json"));
  r.golden_case = nlohmann::json::parse(in);
  auto tensors =
      mx::load_safetensors(data_path(name + "/golden.safetensors")).first;
  r.golden = {tensors.begin(), tensors.end()};
  return loaded.emplace(name, std::move(r)).first->second;
}

/// The log-mel of one window of samples as openai-whisper's pad_or_trim gives:
/// [1, 3000, n_mels].
inline mx::array window_mel(const Reference& r, std::vector<float> samples) {
  samples.resize(static_cast<size_t>(kWindowSamples));
  auto mel = LogMel(r.config.n_mels).frames(samples, 0, 0, kWindowFrames);
  float top = mx::max(mel).item<float>();
  return mx::expand_dims(normalize_log_mel(mel, top), 0);
}

inline float max_difference(const mx::array& a, const mx::array& b) {
  return mx::max(mx::abs(a - b)).item<float>();
}

} // namespace mlx_audio::whisper
