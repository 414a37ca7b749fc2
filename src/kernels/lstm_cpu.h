// The recurrent part of an LSTM on the CPU; f32.
#pragma once

namespace mlx_audio::kernels {

/// One direction of one sequence. The input's share of the gates is computed
/// beforehand as one matrix product.
struct LstmScan {
  const float* gates; // [time, 4 hidden], x W_x^T + b
  const float* weight; // [4 hidden, hidden]
  float* h; // [hidden], in: initial, out: last
  float* c; // [hidden]
  float* output; // rows of `hidden` at a distance of `output_stride`
  int output_stride;
  int time;
  int hidden;
  bool reverse;
};

void lstm_scan(const LstmScan& scan);

} // namespace mlx_audio::kernels
