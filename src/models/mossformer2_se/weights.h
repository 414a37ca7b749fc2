// A MossFormer2 SE checkpoint's tensors under one set of names.
#pragma once

#include <string>

#include "nn/weights.h"

namespace mlx_audio::mossformer2_se {

namespace mx = mlx::core;

/// The name that MLX conversions give to upstream's tensor `name` (with or
/// without the prefixes "module." and "model."), less "model.mossformer.".
/// Names of MLX conversions come back as they are, less the prefix.
std::string canonical_name(const std::string& name);

/// Gives every tensor its canonical name and MLX's layout (channels last), and
/// checks that quantized tensors are what `quantization` says. Which of the two
/// layouts the tensors are in is told by their names.
void canonicalize(nn::Weights& weights);

/// Takes `path.weight` [rows, columns] in f32, dequantized if it is quantized,
/// which tensors' shapes tell where config.json does not (`quantization`);
/// convolutions of kernel 1, [rows, 1, columns], count as matrices.
mx::array take_matrix(
    nn::Weights& weights,
    const std::string& path,
    int rows,
    int columns,
    const std::optional<nn::Quantization>& quantization);

} // namespace mlx_audio::mossformer2_se
