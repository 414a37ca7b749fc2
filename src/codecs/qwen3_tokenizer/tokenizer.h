// The speech tokenizer of Qwen3-TTS: 24 kHz samples to 12.5 frames of codes a
// second and back.
#pragma once

#include <memory>
#include <string>

#include "codecs/mimi/encoder.h"
#include "codecs/qwen3_tokenizer/config.h"
#include "codecs/qwen3_tokenizer/decoder.h"

namespace mlx_audio::codecs::qwen3 {

class Tokenizer {
 public:
  /// Loads the folder `speech_tokenizer/` of a checkpoint. Who never encodes
  /// need not hold the encoder; its tensors are then not looked at.
  /// @param half the decoder's matrices and convolutions in bf16, in which the
  ///   CPU convolves several times faster
  static std::unique_ptr<Tokenizer>
  load(const std::string& folder, bool with_encoder = true, bool half = false);

  Tokenizer(
      nn::Weights& weights,
      nn::ConvLayout layout,
      const Config& config,
      bool with_encoder);

  /// codes [frames, groups] int32, the next frames of a sequence -> samples
  /// [frames * frame_samples()], computed. Any cut of a sequence into pieces
  /// gives the same samples (but for rounding, 1e-6 in f32); long pieces are
  /// worked off in short ones, so that memory does not grow with length.
  mx::array decode(const mx::array& codes, Decoder::State& state) const;

  /// samples [samples] at 24 kHz -> codes [ceil(samples / 1920), groups].
  /// @throws std::logic_error without the encoder.
  mx::array encode(const mx::array& samples, mimi::Taps* taps = nullptr) const;

  int frame_samples() const {
    return config_.decode_samples;
  }
  const Config& config() const {
    return config_;
  }
  const Decoder& decoder() const {
    return decoder_;
  }

 private:
  Config config_;
  Decoder decoder_;
  std::optional<mimi::Encoder> encoder_;
};

} // namespace mlx_audio::codecs::qwen3
