#include "nn/cpu_weights.h"

namespace mlx_audio::nn {

const void* CpuWeights::keep(const mx::array& a) {
  arrays_.push_back(mx::contiguous(a));
  arrays_.back().eval();
  return arrays_.back().data<void>();
}

const float* CpuWeights::floats(const mx::array& a) {
  return static_cast<const float*>(keep(mx::astype(a, mx::float32)));
}

kernels::WeightMatrix CpuWeights::matrix(const kernels::LinearWeight& w) {
  kernels::WeightMatrix m;
  m.data = keep(w.weight);
  m.type = *kernels::float_type(
      w.quantized() ? w.scales->dtype() : w.weight.dtype());
  if (w.quantized()) {
    m.bits = w.bits;
    m.group = w.group_size;
    m.scales = keep(*w.scales);
    m.biases = keep(*w.biases);
  }
  m.rows = w.out_features();
  m.columns = w.in_features();
  bytes_ += m.bytes();
  count_ += static_cast<double>(m.rows) * static_cast<double>(m.columns);
  return m;
}

} // namespace mlx_audio::nn
