// CPU kernels behind conv1d.h; f32 in and out.
#pragma once

#include <optional>
#include <vector>

#include "kernels/conv1d.h"

namespace mlx_audio::kernels {

/// `axes` brings the stored axes into our order [out, kernel, in / groups].
Conv1dWeight load_conv1d_cpu(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const Conv1dOptions& options);
Conv1dWeight load_conv_transpose1d_cpu(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const ConvTranspose1dOptions& options);

/// What happens to x while it is read; at most one of the two, and only where
/// groups are 1. A norm knows no past.
struct OnTheWayIn {
  const AdaNorm* norm = nullptr;
  const SnakeBeta* snake = nullptr;
};

/// Chooses among Fourier, matrix-product and depthwise convolution by shape.
mx::array conv1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options,
    const std::optional<mx::array>& residual,
    const std::optional<mx::array>& past,
    const OnTheWayIn& way = {});

mx::array conv_transpose1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options,
    const std::optional<mx::array>& past,
    const OnTheWayIn& way = {});

} // namespace mlx_audio::kernels
