// A recording to the vector of its voice: log-mel spectrum and ECAPA-TDNN
// (Desplanques et al. 2020).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/qwen3_tts/config.h"
#include "nn/layers.h"

namespace mlx_audio::qwen3_tts {

/// Slaney mels of 0..12 kHz over magnitudes, natural logarithm floored at 1e-5;
/// windows of 1024, steps of 256, ends mirrored.
/// samples [samples] at 24 kHz, at least 385 -> [frames, bands].
mx::array speaker_mel(const mx::array& samples, int bands);

class SpeakerEncoder {
 public:
  SpeakerEncoder(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      const SpeakerEncoderConfig& config);

  /// mel [frames, mel_dim] -> [out].
  mx::array operator()(const mx::array& mel) const;

 private:
  struct Conv { // ends mirrored, so that time stays
    Conv(
        nn::Weights& weights,
        const std::string& path,
        nn::ConvLayout layout,
        int in,
        int out,
        int kernel,
        int dilation = 1);
    mx::array operator()(const mx::array& x) const;
    nn::Conv1d conv;
    int reach;
  };
  struct Block { // SE-Res2Net
    Conv tdnn1;
    std::vector<Conv> parts;
    Conv tdnn2;
    Conv squeeze;
    Conv excite;
  };
  mx::array block(const Block& b, const mx::array& x) const;

  Conv first_;
  std::vector<Block> blocks_;
  Conv aggregate_;
  Conv attention_in_;
  Conv attention_out_;
  Conv out_;
};

} // namespace mlx_audio::qwen3_tts
