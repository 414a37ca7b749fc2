// Long short-term memory over a whole sequence (Hochreiter & Schmidhuber 1997),
// with torch's gate order i, f, g, o.
#pragma once

#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// Weights of one direction.
struct LstmWeight {
  mx::array input; // [4 hidden, in]
  mx::array hidden; // [4 hidden, hidden]
  mx::array bias; // [4 hidden], the sum of both biases
};

struct LstmResult {
  mx::array output; // [batch, time, hidden]
  mx::array h; // [batch, hidden], after the last step
  mx::array c; // [batch, hidden]
};

/// One direction over x [batch, time, in]; `reverse` runs from the end, the
/// output stays in x's order. h0 and c0 are [batch, hidden], zeros if absent.
LstmResult lstm(
    const mx::array& x,
    const LstmWeight& weight,
    bool reverse = false,
    const std::optional<mx::array>& h0 = std::nullopt,
    const std::optional<mx::array>& c0 = std::nullopt);

/// x [batch, time, in] -> [batch, time, 2 hidden]: forward, then backward.
mx::array bidirectional_lstm(
    const mx::array& x,
    const LstmWeight& forward,
    const LstmWeight& backward);

} // namespace mlx_audio::kernels
