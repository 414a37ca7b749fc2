// Codebooks of Euclidean vector quantizers as they are trained: sums of the
// vectors assigned to each entry and how many there were.
#pragma once

#include <string>
#include <vector>

#include "nn/layers.h"

namespace mlx_audio::codecs {

namespace mx = mlx::core;

/// `path.<sums>` / max(`path.cluster_usage`, 1e-5), [entries, dim] in f32.
mx::array take_codebook(
    nn::Weights& weights,
    const std::string& path,
    const std::string& sums,
    int entries,
    int dim);

/// Codes of a split residual quantizer, [frames, groups], to vectors [frames,
/// dim]: the first codebook's entries through one projection, the sum of all
/// others' through the other.
mx::array split_quantized(
    const mx::array& codes,
    const std::vector<mx::array>& codebooks, // [entries, codebook_dim]
    const nn::Linear& first,
    const nn::Linear& rest);

} // namespace mlx_audio::codecs
