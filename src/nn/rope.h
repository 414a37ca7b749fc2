// The angles of rotary positions (Su et al. 2021).
#pragma once

#include <optional>
#include <vector>

namespace mlx_audio::nn {

/// Llama 3's stretching of slow rotations to long contexts: frequencies that
/// turn less than `low` times in `context` positions are divided by `factor`,
/// those that turn more than `high` times stay, those between are blended.
struct RopeScaling {
  double factor = 32;
  double low = 1;
  double high = 4;
  double context = 8192;
};

/// Radians a position of each pair, [dim / 2]: theta^(-2 i / dim), scaled.
std::vector<double> rope_frequencies(
    int dim,
    double theta,
    const std::optional<RopeScaling>& scaling = std::nullopt);

} // namespace mlx_audio::nn
