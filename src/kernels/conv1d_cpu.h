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

/// Chooses among Fourier, matrix-product and depthwise convolution by shape.
mx::array conv1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options,
    const std::optional<mx::array>& residual);

/// groups must be 1 in these two.
mx::array ada_norm_conv1d_cpu(
    const mx::array& x,
    const AdaNorm& norm,
    const Conv1dWeight& weight,
    const Conv1dOptions& options,
    const std::optional<mx::array>& residual);

mx::array snake_conv1d_cpu(
    const mx::array& x,
    const SnakeBeta& function,
    const Conv1dWeight& weight,
    const Conv1dOptions& options,
    const std::optional<mx::array>& residual);

mx::array conv_transpose1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options);

/// groups must be 1.
mx::array snake_conv_transpose1d_cpu(
    const mx::array& x,
    const SnakeBeta& function,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options);

} // namespace mlx_audio::kernels
