// Attention over strided arrays on the CPU, tiled so that scores stay in the
// cache (Dao et al. 2022).
#pragma once

#include <array>
#include <cstdint>

#include "kernels/float_type.h"

namespace mlx_audio::kernels {

/// A four-dimensional array; strides are in elements and may be 0.
struct Strided {
  const void* data = nullptr;
  FloatType type = FloatType::f32;
  std::array<int64_t, 4> strides = {};

  int64_t offset(int64_t i, int64_t j, int64_t k) const {
    return i * strides[0] + j * strides[1] + k * strides[2];
  }
};

struct AttentionArgs {
  Strided q; // [batch, heads, queries, dim]
  Strided k; // [batch, kv_heads, keys, dim]
  Strided v; // [batch, kv_heads, keys, value_dim]
  Strided bias; // [batch, heads, queries, keys], optional
  void* y = nullptr; // [batch, queries, heads, value_dim], of q's type
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t dim = 0;
  int64_t value_dim = 0;
  float scale = 1;
  bool causal = false;

  /// Keys that query i sees.
  int64_t visible(int64_t i) const {
    return causal ? keys - queries + i + 1 : keys;
  }
};

/// A query that sees no key gives zeros.
void flash_attention(const AttentionArgs& args);

} // namespace mlx_audio::kernels
