// The decoder of Mimi (Defossez et al. 2024): split residual quantizer,
// windowed transformer, SEANet's transposed convolutions. Everything is causal,
// so that frames may come in pieces and give the same samples as at once.
// Tensor names are those of transformers/models/mimi/modeling_mimi.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codecs/decoder_state.h"
#include "codecs/mimi/transformer.h"

namespace mlx_audio::codecs::mimi {

class Decoder {
 public:
  /// @param codebooks the encoder's, [entries, dim] each
  Decoder(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      const Config& config,
      std::vector<mx::array> codebooks);

  using State = DecoderState;

  /// codes [frames, used_quantizers], the next frames of a sequence -> their
  /// samples, [frames * samples a frame].
  mx::array
  operator()(const mx::array& codes, State& state, Taps* taps = nullptr) const;

 private:
  struct Residual {
    CausalConv1d wide;
    CausalConv1d narrow;
  };
  struct Stage {
    CausalConvTranspose1d up;
    std::vector<Residual> residuals;
  };

  std::vector<mx::array> codebooks_;
  nn::Linear semantic_projection_;
  nn::Linear acoustic_projection_;
  CausalConvTranspose1d upsample_;
  Transformer transformer_;
  CausalConv1d first_;
  std::vector<Stage> stages_;
  CausalConv1d last_;
  size_t past_count_;
};

} // namespace mlx_audio::codecs::mimi
