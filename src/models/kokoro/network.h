// Kokoro-82M as one function: phoneme ids, a voice's style and a speed to
// durations and samples. Follows hexgrad/kokoro, kokoro/model.py.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/kokoro/albert.h"
#include "models/kokoro/config.h"
#include "models/kokoro/decoder.h"
#include "models/kokoro/prosody.h"

namespace mlx_audio::kokoro {

class Network {
 public:
  /// Loads the checkpoint in `folder`; `dtype` of the weights is the
  /// checkpoint's if absent.
  static std::unique_ptr<Network> load(
      const std::string& folder,
      std::optional<mx::Dtype> dtype = std::nullopt);

  Network(nn::Weights& weights, const Config& config);

  struct Result {
    std::vector<int> durations; // frames of 25 ms, one an id
    mx::array samples; // [samples], f32, 24 kHz; lazy
  };

  /// @param ids phoneme ids with the end tokens, 3..max_position_embeddings
  /// @param style [1, 2 style_dim]: decoder style, then prosody style
  /// @param speed divides the durations, > 0
  Result operator()(
      const std::vector<int>& ids,
      const mx::array& style,
      float speed,
      std::optional<uint64_t> noise_seed,
      Taps* taps = nullptr) const;

  const Config& config() const {
    return config_;
  }
  size_t weight_bytes() const {
    return weight_bytes_;
  }
  const Decoder& decoder() const {
    return decoder_;
  }

 private:
  Config config_;
  size_t weight_bytes_;
  Albert bert_;
  nn::Linear bert_encoder_;
  ProsodyPredictor predictor_;
  TextEncoder text_encoder_;
  Decoder decoder_;
};

} // namespace mlx_audio::kokoro
