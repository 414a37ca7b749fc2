// The encoder of Mimi (Defossez et al. 2024): SEANet convolutions, a windowed
// transformer, a split residual quantizer. Tensor names are those of
// transformers/models/mimi/modeling_mimi.py.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nn/layers.h"

namespace mlx_audio::codecs::mimi {

namespace mx = mlx::core;

using Taps = std::map<std::string, mx::array>;

struct EncoderConfig {
  int filters = 64;
  int hidden = 512;
  int kernel = 7;
  int last_kernel = 3;
  int residual_kernel = 3;
  int residual_layers = 1;
  int dilation_growth = 2;
  int compress = 2;
  std::vector<int> ratios = {8, 6, 5, 4}; // of the decoder; encoded in reverse
  int layers = 8;
  int heads = 8;
  int intermediate = 2048;
  float rope_theta = 10000;
  float norm_eps = 1e-5f;
  int window = 250;
  int codebook = 2048;
  int codebook_dim = 256;
  int quantizers = 32; // in the checkpoint
  int used_quantizers = 16; // the first of them
};

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
      const EncoderConfig& config);

  /// samples [samples] at 24 kHz -> codes [frames, used_quantizers], int32.
  mx::array operator()(const mx::array& samples, Taps* taps = nullptr) const;

 private:
  struct Stage {
    std::vector<std::pair<PaddedConv1d, PaddedConv1d>> residuals;
    PaddedConv1d down;
  };
  struct Layer {
    nn::LayerNorm norm1;
    nn::LayerNorm norm2;
    nn::Linear q;
    nn::Linear k;
    nn::Linear v;
    nn::Linear o;
    nn::Linear fc1;
    nn::Linear fc2;
    mx::array scale1;
    mx::array scale2;
  };
  mx::array attention(const Layer& layer, const mx::array& x) const;
  mx::array quantize(const mx::array& x) const;

  EncoderConfig config_;
  PaddedConv1d first_;
  std::vector<Stage> stages_;
  PaddedConv1d last_;
  std::vector<Layer> layers_;
  PaddedConv1d downsample_;
  mx::array semantic_projection_; // [dim, hidden]
  mx::array acoustic_projection_;
  std::vector<mx::array> codebooks_; // [entries, dim]
};

} // namespace mlx_audio::codecs::mimi
