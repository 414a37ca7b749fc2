// A VibeVoice-ASR checkpoint: two encoders, their connectors and the language
// model. Follows vibevoice/modular/modeling_vibevoice_asr.py.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "codecs/vibevoice/encoder.h"
#include "models/vibevoice_asr/config.h"
#include "nn/load.h"

namespace mlx_audio::vibevoice_asr {

/// Latents to the width of the language model: linear, RMS norm, linear.
class Connector {
 public:
  Connector(nn::Weights& weights, const std::string& path, int in, int out);

  mx::array operator()(const mx::array& x) const; // [frames, in] -> [.., out]

 private:
  nn::Linear fc1_;
  mx::array norm_; // [out]
  nn::Linear fc2_;
};

class LanguageModel {
 public:
  LanguageModel(nn::Weights& weights, const Config& config);

  mx::array embed(std::span<const int> ids) const; // [ids, hidden]
  /// Reads the next positions, x [steps, hidden]; the hidden state after the
  /// last one, [hidden].
  mx::array read(const mx::array& x, nn::KvCache& cache) const;
  /// Scores of the next token by a hidden state, [vocab], f32.
  mx::array logits(const mx::array& hidden) const;

  nn::KvCache make_cache() const {
    return decoder_.make_cache();
  }
  mx::Dtype dtype() const {
    return dtype_;
  }

 private:
  mx::Dtype dtype_; // of activations
  nn::Embedding embedding_;
  nn::Decoder decoder_;
  std::optional<nn::Linear> head_; // none: the embedding's table
};

/// Means of what both encoders make of a sound.
struct Latents {
  mx::array acoustic; // [frames, acoustic dim], f32
  mx::array semantic; // [frames, semantic dim], f32
};

struct Network {
  Config config;
  codecs::vibevoice::Encoder acoustic;
  codecs::vibevoice::Encoder semantic;
  Connector acoustic_connector;
  Connector semantic_connector;
  LanguageModel language;
  uint64_t weight_bytes;

  /// Reads a folder in the original's layout or in mlx-audio's.
  static std::unique_ptr<Network> load(
      const std::string& folder,
      std::optional<mx::Dtype> dtype = std::nullopt);

  /// The pasts of both encoders; empty at the start of a sound.
  struct State {
    codecs::vibevoice::Encoder::State acoustic;
    codecs::vibevoice::Encoder::State semantic;
  };
  /// The next samples of a sound, of whole frames but for the last ones.
  Latents encode(std::span<const float> samples, State& state) const;

  /// What the language model reads of latents: [frames, hidden] of its type.
  mx::array features(const Latents& latents) const;
};

} // namespace mlx_audio::vibevoice_asr
