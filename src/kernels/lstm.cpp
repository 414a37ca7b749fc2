#include "kernels/lstm.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu_op.h"
#include "kernels/linear.h"
#include "kernels/lstm_cpu.h"

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

// All directions at once, one thread each: gates [batch, time, 4 hidden] of
// each direction, then recurrent weights, then initial h and c [batch, hidden].
std::vector<LstmResult> lstm_cpu(
    const mx::array& x,
    const std::vector<const LstmWeight*>& weights,
    const std::vector<bool>& reverse,
    const std::optional<mx::array>& h0,
    const std::optional<mx::array>& c0) {
  int batch = x.shape(0);
  int time = x.shape(1);
  int hidden = weights[0]->hidden.shape(1);
  int directions = static_cast<int>(weights.size());
  auto f32 = [](const mx::array& a) { return mx::astype(a, mx::float32); };
  std::vector<mx::array> inputs;
  for (const auto* w : weights) {
    inputs.push_back(linear(f32(x), {.weight = w->input, .bias = w->bias}));
    inputs.push_back(f32(w->hidden));
  }
  mx::Shape state{batch, hidden};
  inputs.push_back(h0 ? f32(*h0) : mx::zeros(state, mx::float32));
  inputs.push_back(c0 ? f32(*c0) : mx::zeros(state, mx::float32));

  std::vector<mx::Shape> shapes = {{batch, time, directions * hidden}};
  for (int i = 0; i < 2 * directions; ++i) {
    shapes.push_back(state);
  }
  auto results = cpu_op(
      "lstm",
      inputs,
      shapes,
      std::vector<mx::Dtype>(shapes.size(), mx::float32),
      [=](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        const auto& h_in = in[2 * directions];
        const auto& c_in = in[2 * directions + 1];
#pragma omp parallel for schedule(dynamic)
        for (int task = 0; task < directions * batch; ++task) {
          int i = task % directions;
          size_t b = task / directions;
          float* h = out[1 + 2 * i].data<float>() + b * hidden;
          float* c = out[2 + 2 * i].data<float>() + b * hidden;
          std::copy_n(h_in.data<float>() + b * hidden, hidden, h);
          std::copy_n(c_in.data<float>() + b * hidden, hidden, c);
          lstm_scan(
              {in[2 * i].data<float>() + b * time * 4 * hidden,
               in[2 * i + 1].data<float>(),
               h,
               c,
               out[0].data<float>() + b * time * directions * hidden +
                   static_cast<size_t>(i) * hidden,
               directions * hidden,
               time,
               hidden,
               reverse[i]});
        }
      },
      {8.0 * directions * batch * time * hidden * hidden, 0});
  std::vector<LstmResult> each;
  auto cast = [&](const mx::array& a) { return mx::astype(a, x.dtype()); };
  for (int i = 0; i < directions; ++i) {
    each.push_back(
        {cast(results[0]), cast(results[1 + 2 * i]), cast(results[2 + 2 * i])});
  }
  return each;
}

} // namespace

LstmResult lstm(
    const mx::array& x,
    const LstmWeight& weight,
    bool reverse /* = false */,
    const std::optional<mx::array>& h0 /* = std::nullopt */,
    const std::optional<mx::array>& c0 /* = std::nullopt */) {
  if (use_cpu_kernels() && x.size() > 0) {
    return lstm_cpu(x, {&weight}, {reverse}, h0, c0)[0];
  }
  return lstm_mlx(x, weight, reverse, h0, c0);
}

mx::array bidirectional_lstm(
    const mx::array& x,
    const LstmWeight& forward,
    const LstmWeight& backward) {
  if (use_cpu_kernels() && x.size() > 0) {
    return lstm_cpu(
               x,
               {&forward, &backward},
               {false, true},
               std::nullopt,
               std::nullopt)[0]
        .output;
  }
  return mx::concatenate(
      {lstm_mlx(x, forward, false, std::nullopt, std::nullopt).output,
       lstm_mlx(x, backward, true, std::nullopt, std::nullopt).output},
      -1);
}

} // namespace mlx_audio::kernels
