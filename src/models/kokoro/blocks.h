// Style-conditioned blocks of StyleTTS 2 (Li et al. 2023) that the prosody
// predictor and the decoder share. Sequences are [batch, time, channels],
// styles [batch, style_dim].
#pragma once

#include <optional>

#include "nn/layers.h"

namespace mlx_audio::kokoro {

namespace mx = mlx::core;

/// gamma and beta of an adaptive norm, from the style: `path.fc`.
class StyleAffine {
 public:
  StyleAffine(nn::Weights& weights, const std::string& path, int style, int dim)
      : fc_(weights, path + ".fc", style, 2 * dim), dim_(dim) {}

  struct Affine {
    mx::array gamma; // [batch, dim]
    mx::array beta; // [batch, dim]
  };
  Affine operator()(const mx::array& style) const;

 private:
  nn::Linear fc_;
  int dim_;
};

/// Residual block of two convolutions with adaptive instance norm; `upsample`
/// doubles the time.
class AdainResBlock {
 public:
  AdainResBlock(
      nn::Weights& weights,
      const std::string& path,
      int in,
      int out,
      int style,
      bool upsample = false);

  mx::array operator()(const mx::array& x, const mx::array& style) const;

 private:
  StyleAffine norm1_;
  StyleAffine norm2_;
  nn::Conv1d conv1_;
  nn::Conv1d conv2_;
  std::optional<nn::Conv1d> shortcut_;
  std::optional<nn::ConvTranspose1d> pool_;
};

} // namespace mlx_audio::kokoro
