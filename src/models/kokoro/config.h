// config.json of Kokoro-82M (hexgrad/kokoro).
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace mlx_audio::kokoro {

struct Config {
  int hidden_dim = 512;
  int style_dim = 128;
  int n_token = 178;
  int n_layer = 3;
  int max_dur = 50;
  int text_encoder_kernel_size = 5;
  int sample_rate = 24000;

  struct {
    int hidden_size = 768;
    int embedding_size = 128;
    int num_attention_heads = 12;
    int intermediate_size = 2048;
    int max_position_embeddings = 512;
    int num_hidden_layers = 12;
  } plbert;

  struct {
    std::vector<int> upsample_rates = {10, 6};
    std::vector<int> upsample_kernel_sizes = {20, 12};
    std::vector<int> resblock_kernel_sizes = {3, 7, 11};
    std::vector<std::vector<int>> resblock_dilation_sizes;
    int upsample_initial_channel = 512;
    int n_fft = 20;
    int hop = 5;
  } istftnet;

  /// Id of each phoneme (one code point, UTF-8).
  std::unordered_map<std::string, int> vocab;

  int style_width() const {
    return 2 * style_dim; // decoder style, then prosody style
  }
  /// Phonemes that fit: positions less the two end tokens.
  int max_phonemes() const {
    return plbert.max_position_embeddings - 2;
  }
  /// Samples per duration frame.
  int samples_per_frame() const;
};

/// Reads and checks `folder`/config.json.
Config load_config(const std::string& folder);

} // namespace mlx_audio::kokoro
