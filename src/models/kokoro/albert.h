// PL-BERT: an ALBERT encoder (Lan et al. 2020) over phonemes, one layer's
// weights applied num_hidden_layers times.
#pragma once

#include "models/kokoro/config.h"
#include "nn/layers.h"

namespace mlx_audio::kokoro {

namespace mx = mlx::core;

class Albert {
 public:
  Albert(nn::Weights& weights, const std::string& path, const Config& config);

  /// ids [batch, time] -> [batch, time, hidden_size].
  mx::array operator()(const mx::array& ids) const;

 private:
  mx::array attention(const mx::array& x) const;

  int layers_;
  int heads_;
  nn::Embedding words_;
  nn::Embedding positions_;
  nn::Embedding types_;
  nn::LayerNorm embedding_norm_;
  nn::Linear embedding_to_hidden_;
  nn::Linear query_;
  nn::Linear key_;
  nn::Linear value_;
  nn::Linear dense_;
  nn::LayerNorm attention_norm_;
  nn::Linear ffn_;
  nn::Linear ffn_output_;
  nn::LayerNorm output_norm_;
};

} // namespace mlx_audio::kokoro
