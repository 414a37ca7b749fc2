// Sizes of Mimi, the same for encoder and decoder.
#pragma once

#include <vector>

#include "nn/config_reader.h"

namespace mlx_audio::codecs::mimi {

/// The defaults are those of kyutai's released codec.
struct Config {
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

  int stages() const {
    return static_cast<int>(ratios.size());
  }
  /// Samples a frame: the ratios, then two steps of the transformer a frame.
  int frame_samples() const;
};

/// Reads transformers' names for them, as in `codec_config`.
Config parse_config(const nn::ConfigReader& reader, int used_quantizers);

} // namespace mlx_audio::codecs::mimi
