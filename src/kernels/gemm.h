// Matrix products of `linear` on the CPU: y = act(x W^T + b) with W in the form
// that a checkpoint stores.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/float_type.h"

namespace mlx_audio::kernels {

/// Weights [rows, columns], row-contiguous. With bits == 0 they are floats of
/// `type`; else MLX-affine: a little-endian bit stream in which a row takes
/// columns * bits / 8 bytes, times scales plus biases (both of `type`), one of
/// each for `group` columns.
struct WeightMatrix {
  const void* data = nullptr;
  FloatType type = FloatType::f32;
  int bits = 0;
  int group = 0;
  const void* scales = nullptr;
  const void* biases = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;

  /// What one product reads.
  double bytes() const;
};

struct GemmArgs {
  const void* x = nullptr; // [m, columns]
  FloatType x_type = FloatType::f32;
  /// x need be no finer than 16-bit floats are: products in bf16 or bytes take
  /// two parts of it instead of three. Of 16-bit x it goes without saying.
  bool coarse_x = false;
  int64_t m = 0;
  WeightMatrix w;
  const void* bias = nullptr; // [rows], optional
  FloatType bias_type = FloatType::f32; // f32 but for linear_product
  Activation activation = Activation::none;
  void* y = nullptr; // [m, rows], of x_type
};

/// Chooses by shape among the three below.
void linear_product(const GemmArgs& args);

/// For few rows of x: reads W once, in its storage form.
void gemv(const GemmArgs& args);

/// For many rows of x: W is unpacked panel by panel into the cache.
void gemm(const GemmArgs& args);

/// f32 x f32 over oneDNN.
void gemm_onednn(const GemmArgs& args);

} // namespace mlx_audio::kernels
