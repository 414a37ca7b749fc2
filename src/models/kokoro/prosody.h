// Text side of Kokoro: the text encoder, and the predictor of durations, pitch
// and energy.
#pragma once

#include <vector>

#include "models/kokoro/blocks.h"
#include "models/kokoro/config.h"

namespace mlx_audio::kokoro {

/// Phoneme ids [batch, time] -> [batch, time, hidden_dim].
class TextEncoder {
 public:
  TextEncoder(
      nn::Weights& weights,
      const std::string& path,
      const Config& config);
  mx::array operator()(const mx::array& ids) const;

 private:
  nn::Embedding embedding_;
  std::vector<nn::Conv1d> convs_;
  std::vector<nn::LayerNorm> norms_;
  nn::BidirectionalLstm lstm_;
};

class ProsodyPredictor {
 public:
  ProsodyPredictor(
      nn::Weights& weights,
      const std::string& path,
      const Config& config);

  /// x [batch, time, hidden_dim] -> [batch, time, hidden_dim + style_dim].
  mx::array encode(const mx::array& x, const mx::array& style) const;

  /// Encoded text -> logits [batch, time, max_dur]; the sum of their sigmoids
  /// is the duration in frames at speed 1.
  mx::array duration_logits(const mx::array& encoded) const;

  struct Curves {
    mx::array f0; // [batch, 2 frames], Hz
    mx::array energy; // [batch, 2 frames]
  };
  /// Encoded text stretched to frames [batch, frames, hidden_dim + style_dim].
  Curves curves(const mx::array& aligned, const mx::array& style) const;

 private:
  std::vector<nn::BidirectionalLstm> lstms_;
  std::vector<StyleAffine> norms_;
  nn::BidirectionalLstm lstm_;
  nn::Linear duration_;
  nn::BidirectionalLstm shared_;
  std::vector<AdainResBlock> f0_blocks_;
  std::vector<AdainResBlock> energy_blocks_;
  nn::Conv1d f0_projection_;
  nn::Conv1d energy_projection_;
};

} // namespace mlx_audio::kokoro
