// Weights as the CPU kernels take them: pointers into arrays that are kept.
#pragma once

#include <vector>

#include "kernels/gemm.h"
#include "kernels/linear.h"

namespace mlx_audio::nn {

namespace mx = mlx::core;

class CpuWeights {
 public:
  /// In f32.
  const float* floats(const mx::array& a);
  /// As it is stored; linear_cpu_takes() must hold. The bias is not part.
  kernels::WeightMatrix matrix(const kernels::LinearWeight& w);

  /// Of all matrices: what a product with each reads, and their values.
  double bytes() const {
    return bytes_;
  }
  double count() const {
    return count_;
  }

 private:
  const void* keep(const mx::array& a);

  std::vector<mx::array> arrays_;
  double bytes_ = 0;
  double count_ = 0;
};

} // namespace mlx_audio::nn
