// Codes to samples: split residual quantizer, windowed transformer, transposed
// convolutions. Everything is causal, so that frames may come in pieces and
// give the same samples as at once. Follows
// qwen_tts/core/tokenizer_12hz/modeling_qwen3_tts_tokenizer_v2.py.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "codecs/decoder_state.h"
#include "codecs/qwen3_tokenizer/config.h"
#include "nn/rounded_linear.h"

namespace mlx_audio::codecs::qwen3 {

/// Named intermediates, for comparison with a reference; [time, channels].
using Taps = std::map<std::string, mx::array>;

class Decoder {
 public:
  Decoder(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      const DecoderConfig& config);

  using State = DecoderState;

  /// codes [frames, groups], the next frames of a sequence -> their samples,
  /// [frames * samples a frame] within -1..1.
  mx::array
  operator()(const mx::array& codes, State& state, Taps* taps = nullptr) const;

 private:
  struct Residual {
    kernels::SnakeBeta act1;
    CausalConv1d conv1;
    kernels::SnakeBeta act2;
    CausalConv1d conv2;
  };
  struct Block {
    kernels::SnakeBeta act;
    CausalConvTranspose1d conv;
    std::vector<Residual> residuals;
  };
  struct ConvNext { // Liu et al. 2022
    CausalConvTranspose1d up;
    CausalConv1d depthwise;
    nn::LayerNorm norm;
    nn::RoundedLinear expand;
    nn::RoundedLinear contract;
    mx::array gamma;
  };

  std::vector<mx::array> codebooks_; // [entries, codebook_dim / 2]
  nn::Linear first_projection_;
  nn::Linear rest_projection_;
  CausalConv1d pre_conv_;
  nn::Linear transformer_in_;
  nn::Decoder transformer_;
  nn::Linear transformer_out_;
  std::vector<ConvNext> upsample_;
  CausalConv1d first_conv_;
  std::vector<Block> blocks_;
  kernels::SnakeBeta last_act_;
  CausalConv1d last_conv_;
  size_t past_count_ = 0;
  size_t whole_blocks_ = 0; // that run over all rows of a piece at once
  int slice_rows_ = 0; // of what the others are given at a time
};

} // namespace mlx_audio::codecs::qwen3
