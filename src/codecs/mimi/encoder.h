// The encoder of Mimi (Defossez et al. 2024): SEANet convolutions, a windowed
// transformer, a split residual quantizer. Tensor names are those of
// transformers/models/mimi/modeling_mimi.py.
#pragma once

#include <string>
#include <vector>

#include "codecs/mimi/transformer.h"

namespace mlx_audio::codecs::mimi {

namespace mx = mlx::core;

/// A causal convolution over a whole sequence: zeros (or the first input) at
/// the left, and at the right what makes the last stride whole.
class PaddedConv1d {
 public:
  PaddedConv1d(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      int in,
      int out,
      int kernel,
      int stride = 1,
      int dilation = 1,
      bool repeat_edges = false);
  mx::array operator()(const mx::array& x) const;

 private:
  nn::Conv1d conv_;
  int reach_;
  int stride_;
  bool repeat_edges_;
};

class Encoder {
 public:
  Encoder(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      const Config& config);

  /// samples [samples] at 24 kHz -> codes [frames, used_quantizers], int32.
  mx::array operator()(const mx::array& samples, Taps* taps = nullptr) const;

  /// Of the quantizers that are used, [entries, dim] each.
  const std::vector<mx::array>& codebooks() const {
    return codebooks_;
  }

 private:
  struct Stage {
    std::vector<std::pair<PaddedConv1d, PaddedConv1d>> residuals;
    PaddedConv1d down;
  };
  mx::array quantize(const mx::array& x) const;

  PaddedConv1d first_;
  std::vector<Stage> stages_;
  PaddedConv1d last_;
  Transformer transformer_;
  PaddedConv1d downsample_;
  mx::array semantic_projection_; // [dim, hidden]
  mx::array acoustic_projection_;
  std::vector<mx::array> codebooks_; // [entries, dim]
};

} // namespace mlx_audio::codecs::mimi
