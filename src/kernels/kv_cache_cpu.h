// The CPU's side of kv_cache.h.
#pragma once

#include <cstdint>
#include <vector>

namespace mlx_audio::kernels {

struct CacheShape {
  int rows;
  int steps; // new positions
  int heads;
  int dim;
  int capacity;
  int length; // positions before the new ones
};

/// Stores the new keys and values of qkv [rows, steps, 3 heads dim] in keys and
/// values [.., heads, capacity, dim], then out [rows, steps, heads dim].
void self_attention_cpu(
    const float* qkv,
    float* keys,
    float* values,
    const std::vector<std::vector<int>>& holders,
    const CacheShape& shape,
    float scale,
    float* out);

/// The same for one head of one row, item = row x heads + head, in this thread.
void self_attention_head(
    const float* qkv,
    float* keys,
    float* values,
    const std::vector<std::vector<int>>& holders,
    const CacheShape& shape,
    float scale,
    int64_t item,
    float* out);

struct CrossShape {
  int queries; // rows of one element
  int heads;
  int dim;
  int length;
  bool half; // keys and values are f16, else f32
};

/// q and out [elements, queries, heads dim], keys [batch, heads, dim, length],
/// values [batch, heads, length, dim]; element i reads batch elements[i].
void cross_attention_cpu(
    const float* q,
    const void* keys,
    const void* values,
    const std::vector<int>& elements,
    const CrossShape& shape,
    float scale,
    float* out);

} // namespace mlx_audio::kernels
