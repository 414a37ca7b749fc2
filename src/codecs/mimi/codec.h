// Mimi as kyutai released it: 24 kHz samples to 12.5 frames of codes a second
// and back.
#pragma once

#include <memory>
#include <string>

#include "codecs/mimi/decoder.h"
#include "codecs/mimi/encoder.h"

namespace mlx_audio::codecs::mimi {

class Codec {
 public:
  /// Loads the file tokenizer-e351c8d8-checkpoint125.safetensors, whose tensors
  /// are named and laid out as moshi has them.
  static std::unique_ptr<Codec> load(
      const std::string& file,
      const Config& config);

  Codec(nn::Weights& weights, const Config& config);

  /// codes [frames, used_quantizers] int32, the next frames of a sequence ->
  /// samples [frames * frame_samples()], computed. Any cut of a sequence into
  /// pieces gives the same samples (but for rounding, 1e-6).
  mx::array decode(const mx::array& codes, Decoder::State& state) const;

  /// samples [samples] at 24 kHz -> codes [ceil(samples / frame_samples()),
  /// used_quantizers].
  mx::array encode(const mx::array& samples, Taps* taps = nullptr) const;

  const Config& config() const {
    return config_;
  }
  const Decoder& decoder() const {
    return decoder_;
  }

 private:
  Config config_;
  Encoder encoder_;
  Decoder decoder_;
};

} // namespace mlx_audio::codecs::mimi
