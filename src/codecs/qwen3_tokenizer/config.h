// speech_tokenizer/config.json of Qwen3-TTS (the 12 Hz tokenizer).
#pragma once

#include <string>
#include <vector>

#include "codecs/mimi/encoder.h"
#include "nn/config_reader.h"
#include "nn/decoder.h"

namespace mlx_audio::codecs::qwen3 {

struct DecoderConfig {
  int groups = 0; // codebooks
  int codebook = 0; // entries of each
  int codebook_dim = 0; // of the quantized vectors; entries have half of it
  int latent = 0;
  int channels = 0; // of the widest convolution
  nn::DecoderConfig transformer;
  std::vector<int> upsampling_ratios; // by transposed convolution + ConvNeXt
  std::vector<int> upsample_rates; // by the residual blocks
  /// Values at the output of the last block that are worked on at a time, so
  /// that they stay in the caches.
  int64_t slice = 3 << 18;
};

struct Config {
  DecoderConfig decoder;
  mimi::Config encoder;
  int sample_rate = 24000;
  int encode_samples = 1920; // samples a frame, in
  int decode_samples = 1920; // samples a frame, out
};

Config parse_config(const nlohmann::json& json);

} // namespace mlx_audio::codecs::qwen3
