// A transformer decoder (nn/decoder.h says which) over the next positions of
// several sequences as one CPU kernel: a step of 28 layers costs 200 matrix
// products and no MLX ops. f32 activations, weights as they are stored.
#pragma once

#include <vector>

#include "kernels/gemm.h"

namespace mlx_audio::kernels {

struct DecoderStepShape {
  int hidden;
  int intermediate;
  int heads;
  int kv_heads;
  int head_dim;
  const double* rope_frequencies; // radians a position, [head_dim / 2]
  bool rope_interleaved; // pairs (2 i, 2 i + 1), not (i, i + head_dim / 2)
  float norm_eps;
};

struct DecoderStepLayer {
  const float* input_norm; // [hidden]
  const float* post_norm; // [hidden]
  const float* q_norm; // [head_dim], or null: no norm of heads
  const float* k_norm;
  const float* q_bias; // [heads, head_dim], or null
  const float* k_bias; // [kv_heads, head_dim], or null
  const float* v_bias;
  WeightMatrix q;
  WeightMatrix k;
  WeightMatrix v;
  WeightMatrix o;
  WeightMatrix gate;
  WeightMatrix up;
  WeightMatrix down;
};

/// Where a sequence keeps its keys and values.
struct DecoderStepCache {
  int length; // positions before this step
  int capacity;
  std::vector<float*> keys; // of each layer, [kv_heads, capacity, head_dim]
  std::vector<float*> values;
};

/// x [caches, steps, hidden] -> y, of the same shape, after the final norm; y
/// may be x. Appends the steps' keys and values to the caches.
void decoder_step_cpu(
    const DecoderStepShape& shape,
    const std::vector<DecoderStepLayer>& layers,
    const float* final_norm, // [hidden]
    const std::vector<DecoderStepCache>& caches,
    int steps,
    const float* x,
    float* y);

} // namespace mlx_audio::kernels
