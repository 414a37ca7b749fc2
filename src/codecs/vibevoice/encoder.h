// The causal encoders of VibeVoice (Peng et al. 2025): sound at 24 kHz to
// latent frames at 7.5 Hz, by stages of depthwise convolutions and MLPs between
// strided convolutions. Follows
// vibevoice/modular/modular_vibevoice_tokenizer.py.
#pragma once

#include <string>
#include <vector>

#include "codecs/causal_conv.h"
#include "codecs/vibevoice/config.h"
#include "nn/taps.h"

namespace mlx_audio::codecs::vibevoice {

/// `path` itself, of a layer whose bias [out] is part of the architecture.
/// @throws Error if the checkpoint lacks it.
std::string with_bias(nn::Weights& weights, const std::string& path, int out);

class Encoder {
 public:
  /// Tensors `path.downsample_layers.N.conv`, `path.stages.N.M` and
  /// `path.head.conv`. Activations are f32 whatever the weights are.
  Encoder(
      nn::Weights& weights,
      const std::string& path,
      nn::ConvLayout layout,
      const EncoderConfig& config);

  /// The past of every convolution; empty at the start of a sound.
  using State = std::vector<Past>;

  /// samples [1, count, 1], f32 -> [1, ceil(count / hop), dim]: the mean of the
  /// latents. Pieces of a sound are of whole hops, but for the last one; they
  /// give what the whole gives at once.
  mx::array operator()(const mx::array& samples, State& state) const;
  /// Taps "<name>_stage<N>" are what stages give.
  mx::array operator()(
      const mx::array& samples,
      State& state,
      nn::Taps* taps,
      const std::string& name) const;

  int hop() const {
    return config_.hop();
  }
  int dim() const {
    return config_.dim;
  }

 private:
  // Residual branches: a depthwise convolution, then an MLP, each of the normed
  // input and scaled by channel.
  struct Block {
    Block(
        nn::Weights& weights,
        const std::string& path,
        nn::ConvLayout layout,
        int dim);

    mx::array norm; // [dim]
    mx::array ffn_norm; // [dim]
    CausalConv1d mixer;
    nn::Linear up;
    nn::Linear down;
    mx::array gamma; // [dim]
    mx::array ffn_gamma; // [dim]
  };
  struct Stage {
    CausalConv1d entry;
    std::vector<Block> blocks;
  };

  mx::array run(const Block& block, const mx::array& x, Past& past) const;

  EncoderConfig config_;
  std::vector<Stage> stages_;
  CausalConv1d head_;
  size_t convolutions_ = 0;
};

} // namespace mlx_audio::codecs::vibevoice
