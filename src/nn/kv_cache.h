// Keys and values of one sequence's past in every layer of a decoder. Sequences
// of a batch have one cache each, so that they join and leave between steps
// without padding.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "mlx/mlx.h"

namespace mlx_audio::nn {

namespace mx = mlx::core;

class KvCache {
 public:
  /// @param window positions that a query sees, itself included; 0: all. With a
  ///   window, older positions are forgotten.
  KvCache(int layers, int kv_heads, int head_dim, int window = 0);

  /// Positions seen so far: the next one's index.
  int length() const {
    return length_;
  }
  int window() const {
    return window_;
  }

  /// Appends k and v [1, kv_heads, steps, dim] to a layer and returns all that
  /// it keeps, oldest first. The kept positions end with the appended ones.
  std::pair<mx::array, mx::array>
  append(int layer, const mx::array& k, const mx::array& v);

  /// Ends a step of `steps` positions, after every layer has appended.
  void advance(int steps);

  /// Forgets all positions; buffers stay.
  void clear();

  /// The CPU kernels' view of a layer, in memory of its own, in f32 with room
  /// for `steps` more positions. Not for windows. A cache is used through
  /// append() or through reserve(), never both.
  struct Buffers {
    float* keys; // [kv_heads, capacity, dim]
    float* values; // [kv_heads, capacity, dim]
    int capacity;
  };
  Buffers reserve(int layer, int steps);

 private:
  struct Layer {
    std::optional<mx::array> keys; // [1, kv_heads, room, dim]
    std::optional<mx::array> values;
    std::vector<float> key_buffer;
    std::vector<float> value_buffer;
    int capacity = 0;
  };

  int kv_heads_;
  int head_dim_;
  int window_;
  int length_ = 0;
  std::vector<Layer> layers_;
};

} // namespace mlx_audio::nn
