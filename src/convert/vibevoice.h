// VibeVoice-ASR out of the original's checkpoints.
#pragma once

#include <vector>

#include "checkpoint/lazy_tensor.h"

namespace mlx_audio::convert {

/// Tensors with the names and layouts of the MLX conversions, whichever they
/// had. What recognition does not need is left out.
std::vector<checkpoint::LazyTensor> vibevoice_to_mlx(
    std::vector<checkpoint::LazyTensor> tensors);

} // namespace mlx_audio::convert
