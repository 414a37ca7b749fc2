// The weights of a checkpoint's folder.
#pragma once

#include <string>

#include "nn/layers.h"

namespace mlx_audio::nn {

struct LoadedWeights {
  Weights weights;
  /// By the files' metadata: "format": "mlx" marks a converted checkpoint.
  ConvLayout conv_layout = ConvLayout::torch;
};

/// Reads `folder`/model.safetensors, or the shards that
/// model.safetensors.index.json names, and the quantization of config.json.
/// Headers are checked strictly; tensors are read when first used.
LoadedWeights load_weights(const std::string& folder);

} // namespace mlx_audio::nn
