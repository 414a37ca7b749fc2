// Scaled dot-product attention.
#pragma once

#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

enum class Mask { none, causal };

/// softmax(scale q k^T + mask) v per head, in f32 inside.
/// q [batch, heads, queries, dim], k and v [batch, kv_heads, keys, dim] with
/// heads a multiple of kv_heads; causal aligns the last query with the last
/// key. `bias` is added to the scores and broadcasts to [batch, heads, queries,
/// keys].
mx::array attention(
    const mx::array& q,
    const mx::array& k,
    const mx::array& v,
    float scale,
    Mask mask = Mask::none,
    const std::optional<mx::array>& bias = std::nullopt);

} // namespace mlx_audio::kernels
