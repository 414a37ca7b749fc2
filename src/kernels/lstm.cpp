#include "kernels/lstm.h"

#include <vector>

#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

namespace {

LstmResult lstm_mlx(
    const mx::array& x,
    const LstmWeight& w,
    bool reverse,
    const std::optional<mx::array>& h0,
    const std::optional<mx::array>& c0) {
  int batch = x.shape(0);
  int time = x.shape(1);
  int hidden = w.hidden.shape(1);
  auto gates_in = mx::matmul(x, mx::transpose(w.input)) + w.bias;
  auto wh = mx::transpose(w.hidden);
  auto h = h0 ? *h0 : mx::zeros({batch, hidden}, x.dtype());
  auto c = c0 ? *c0 : mx::zeros({batch, hidden}, x.dtype());
  std::vector<mx::array> steps(time, h);
  for (int i = 0; i < time; ++i) {
    int t = reverse ? time - 1 - i : i;
    auto gates =
        mx::squeeze(
            mx::slice(gates_in, {0, t, 0}, {batch, t + 1, 4 * hidden}), 1) +
        mx::matmul(h, wh);
    auto parts = mx::split(gates, 4, -1);
    c = mx::sigmoid(parts[1]) * c + mx::sigmoid(parts[0]) * mx::tanh(parts[2]);
    h = mx::sigmoid(parts[3]) * mx::tanh(c);
    steps[t] = h;
  }
  return {mx::stack(steps, 1), h, c};
}

} // namespace

LstmResult lstm(
    const mx::array& x,
    const LstmWeight& weight,
    bool reverse /* = false */,
    const std::optional<mx::array>& h0 /* = std::nullopt */,
    const std::optional<mx::array>& c0 /* = std::nullopt */) {
  return lstm_mlx(x, weight, reverse, h0, c0);
}

mx::array bidirectional_lstm(
    const mx::array& x,
    const LstmWeight& forward,
    const LstmWeight& backward) {
  return mx::concatenate(
      {lstm(x, forward).output, lstm(x, backward, true).output}, -1);
}

} // namespace mlx_audio::kernels
