// MossFormer2 SE out of ClearerVoice-Studio's own checkpoints.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/lazy_tensor.h"

namespace mlx_audio::convert {

/// The PyTorch file of a ClearerVoice folder, which has no config.json: the one
/// that `last_best_checkpoint` or `last_checkpoint` names, or the only .pt in
/// it. The path of a .pt file is itself. Else empty.
std::string clearervoice_file(const std::string& path);

/// Tensors with the names and layouts of the MLX conversions, whichever they
/// had. What is not the network (an optimizer's state) is left out; nothing
/// remains of another model.
std::vector<checkpoint::LazyTensor> mossformer2_to_mlx(
    std::vector<checkpoint::LazyTensor> tensors);

/// config.json as the MLX conversions have it, with the network's sizes.
nlohmann::json mossformer2_config(
    const std::vector<checkpoint::LazyTensor>& tensors);

} // namespace mlx_audio::convert
