// Acoustic side of Kokoro: aligned text, pitch and energy to a waveform.
#pragma once

#include <vector>

#include "models/kokoro/blocks.h"
#include "models/kokoro/config.h"
#include "models/kokoro/source.h"
#include "nn/taps.h"

namespace mlx_audio::kokoro {

using nn::tap;
using nn::Taps;

/// HiFi-GAN-style residual block with adaptive norm and snake activations.
class SnakeResBlock {
 public:
  SnakeResBlock(
      nn::Weights& weights,
      const std::string& path,
      int channels,
      int kernel,
      const std::vector<int>& dilations,
      int style);

  mx::array operator()(const mx::array& x, const mx::array& style) const;

 private:
  struct Layer {
    StyleAffine norm1;
    StyleAffine norm2;
    mx::array alpha1; // [channels]
    mx::array alpha2;
    nn::Conv1d conv1;
    nn::Conv1d conv2;
  };
  std::vector<Layer> layers_;
};

/// iSTFTNet generator.
class Generator {
 public:
  Generator(
      nn::Weights& weights,
      const std::string& path,
      const Config& config);

  /// f0 [batch, time] -> the source's spectrum [batch, frames, n_fft + 2].
  mx::array source_spectrum(
      const mx::array& f0,
      std::optional<uint64_t> noise_seed,
      Taps* taps = nullptr) const;

  /// x [batch, time, channels] -> samples [batch, time * samples per frame].
  mx::array operator()(
      const mx::array& x,
      const mx::array& style,
      const mx::array& source,
      Taps* taps = nullptr) const;

 private:
  struct Stage {
    nn::ConvTranspose1d up;
    nn::Conv1d noise_conv;
    SnakeResBlock noise_block;
    std::vector<SnakeResBlock> blocks;
  };
  int n_fft_;
  int hop_;
  HarmonicSource source_;
  std::vector<Stage> stages_;
  nn::Conv1d post_;
};

class Decoder {
 public:
  Decoder(nn::Weights& weights, const std::string& path, const Config& config);

  /// text [batch, frames, hidden_dim], f0 and energy [batch, 2 frames], style
  /// [batch, style_dim] -> samples [batch, frames * samples_per_frame].
  mx::array operator()(
      const mx::array& text,
      const mx::array& f0,
      const mx::array& energy,
      const mx::array& style,
      std::optional<uint64_t> noise_seed,
      Taps* taps = nullptr) const;

  const Generator& generator() const {
    return generator_;
  }

 private:
  nn::Conv1d f0_conv_;
  nn::Conv1d energy_conv_;
  nn::Conv1d text_conv_;
  AdainResBlock encode_;
  std::vector<AdainResBlock> decode_;
  Generator generator_;
};

} // namespace mlx_audio::kokoro
