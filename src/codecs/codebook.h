// Codebooks of Euclidean vector quantizers as they are trained: sums of the
// vectors assigned to each entry and how many there were.
#pragma once

#include <string>

#include "nn/weights.h"

namespace mlx_audio::codecs {

namespace mx = mlx::core;

/// `path.<sums>` / max(`path.cluster_usage`, 1e-5), [entries, dim] in f32.
mx::array take_codebook(
    nn::Weights& weights,
    const std::string& path,
    const std::string& sums,
    int entries,
    int dim);

} // namespace mlx_audio::codecs
