// CPU kernels behind conv1d.h; f32 in and out.
#pragma once

#include <optional>

#include "kernels/conv1d.h"

namespace mlx_audio::kernels {

/// Packs weights into the form that the kernels read, if they are not yet.
void pack_conv1d_cpu(const Conv1dWeight& weight, const Conv1dOptions& options);
void pack_conv_transpose1d_cpu(
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options);
/// Frees the original once it is packed.
void release_after_packing(Conv1dWeight& weight);

/// Chooses among Fourier, matrix-product and depthwise convolution by shape.
mx::array conv1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& options,
    const std::optional<mx::array>& residual);

mx::array conv_transpose1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options);

} // namespace mlx_audio::kernels
