// Whisper's weights in any layout, under one set of names: the original's, with
// mlp1 and mlp2 for the two halves of the MLP (mlx-community's names).
#pragma once

#include <string>

#include "models/whisper/config.h"
#include "nn/layers.h"
#include "nn/weights.h"

namespace mlx_audio::whisper {

struct Checkpoint {
  nn::Weights weights;
  nn::ConvLayout convolutions = nn::ConvLayout::torch;
};

/// Reads `folder`'s weights.safetensors, model.safetensors (or its shards) or
/// weights.npz. The layout is told by names: `model.encoder.layers...` is
/// Hugging Face's, `encoder.blocks.N.mlp.0` the original's (both with torch's
/// convolutions), `encoder.blocks.N.mlp1` mlx-community's.
/// @throws Error not_found without such a file, corrupt_data for bytes that are
///   no checkpoint.
Checkpoint load_checkpoint(const std::string& folder);

/// A name of any layout as we call it; empty for tensors that are computed or
/// tied (`proj_out.weight`, buffers).
std::string canonical_name(const std::string& name);

} // namespace mlx_audio::whisper
