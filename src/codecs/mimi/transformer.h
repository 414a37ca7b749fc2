// The windowed transformer that Mimi's encoder and decoder have one of each.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "codecs/mimi/config.h"
#include "nn/kv_cache.h"
#include "nn/layers.h"

namespace mlx_audio::codecs::mimi {

namespace mx = mlx::core;

/// Named intermediates, for comparison with a reference; [time, channels].
using Taps = std::map<std::string, mx::array>;

class Transformer {
 public:
  /// Layers `path.layers.N`.
  Transformer(
      nn::Weights& weights,
      const std::string& path,
      const Config& config);

  /// x [1, time, hidden], the next positions of a sequence -> the same shape.
  mx::array operator()(const mx::array& x, nn::KvCache& cache) const;

  nn::KvCache make_cache() const;

 private:
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
  mx::array attention(int index, const mx::array& x, nn::KvCache& cache) const;

  int heads_;
  int dim_; // of a head
  int window_;
  float rope_theta_;
  std::vector<Layer> layers_;
};

} // namespace mlx_audio::codecs::mimi
