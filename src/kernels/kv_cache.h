// Attention of an autoregressive decoder: over its own growing past, and over a
// fixed memory (an encoder's output) that every step reads again.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// Keys and values of the past positions of several sequences (rows). Rows may
/// branch, be reordered and be dropped between steps without moving data.
///
/// A call of attend() changes the cache when its result is evaluated, so each
/// step must be evaluated before the next call of reorder() or reset().
class KvCache {
 public:
  KvCache(int max_rows, int heads, int dim, int capacity);

  /// qkv [rows, steps, 3 heads dim], queries, keys and values side by side:
  /// appends the keys and values and returns what the queries see of all
  /// positions up to their own, [rows, steps, heads dim]. `rows` is at most
  /// max_rows; length() + steps at most the capacity.
  mx::array attend(const mx::array& qkv, float scale);

  /// From now on there are sources.size() rows, of which row r continues the
  /// old row sources[r].
  void reorder(std::span<const int> sources);

  /// Forgets all positions.
  void reset();

  int length() const {
    return length_;
  }

 private:
  struct Storage; // the CPU's: one buffer, written in place

  int max_rows_;
  int heads_;
  int dim_;
  int capacity_;
  int length_ = 0;
  std::shared_ptr<Storage> storage_;
  // Which row of the storage holds a position of a sequence: [row][position].
  std::vector<std::vector<int>> holders_;
  std::vector<mx::array> kv_; // elsewhere: keys, values [rows, heads, len, dim]
};

/// Keys and values of a fixed memory, in the layout and type that few-query
/// attention reads fastest.
struct CrossMemory {
  mx::array
      keys; // CPU: [batch, heads, dim, length] f16; else [.., length, dim]
  mx::array values; // [batch, heads, length, dim]
};

/// kv [batch, length, 2 heads dim], keys and values side by side. `precise`
/// keeps the type of kv; otherwise the CPU stores f16.
CrossMemory
make_cross_memory(const mx::array& kv, int heads, bool precise = false);

/// q [elements x group, steps, heads dim] -> the same shape. The `group` rows
/// of an element follow each other and read the same memory, that of batch
/// element elements[i]; an empty list stands for all of the batch in order.
mx::array cross_attention(
    const mx::array& q,
    const CrossMemory& memory,
    int heads,
    float scale,
    const std::vector<int>& elements = {});

} // namespace mlx_audio::kernels
