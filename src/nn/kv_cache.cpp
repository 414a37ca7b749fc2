#include "nn/kv_cache.h"

#include <algorithm>
#include <stdexcept>

namespace mlx_audio::nn {

namespace {

constexpr int kStep = 256; // positions that memory grows by

} // namespace

KvCache::KvCache(int layers, int kv_heads, int head_dim, int window /* = 0 */)
    : kv_heads_(kv_heads),
      head_dim_(head_dim),
      window_(window),
      layers_(layers) {}

std::pair<mx::array, mx::array>
KvCache::append(int index, const mx::array& k, const mx::array& v) {
  Layer& layer = layers_.at(index);
  int steps = k.shape(2);
  if (window_ > 0) {
    auto join = [&](std::optional<mx::array>& kept, const mx::array& fresh) {
      auto all = kept ? mx::concatenate({*kept, fresh}, 2) : fresh;
      // The next query sees window - 1 positions before itself.
      int first = std::max(0, all.shape(2) - (window_ - 1));
      kept = mx::contiguous(
          mx::slice(
              all, {0, 0, first, 0}, {1, kv_heads_, all.shape(2), head_dim_}));
      return all;
    };
    auto keys = join(layer.keys, k);
    return {keys, join(layer.values, v)};
  }
  int end = length_ + steps;
  if (end > layer.capacity) {
    layer.capacity = (end + kStep - 1) / kStep * kStep;
    auto grow = [&](std::optional<mx::array>& kept, mx::Dtype dtype) {
      auto room = mx::zeros({1, kv_heads_, layer.capacity, head_dim_}, dtype);
      kept = kept ? mx::slice_update(
                        room,
                        *kept,
                        mx::Shape{0, 0, 0, 0},
                        mx::Shape{1, kv_heads_, kept->shape(2), head_dim_})
                  : room;
    };
    grow(layer.keys, k.dtype());
    grow(layer.values, v.dtype());
  }
  auto put = [&](std::optional<mx::array>& kept, const mx::array& fresh) {
    kept = mx::slice_update(
        *kept,
        fresh,
        mx::Shape{0, 0, length_, 0},
        mx::Shape{1, kv_heads_, end, head_dim_});
    return mx::slice(*kept, {0, 0, 0, 0}, {1, kv_heads_, end, head_dim_});
  };
  auto keys = put(layer.keys, k);
  return {keys, put(layer.values, v)};
}

void KvCache::advance(int steps) {
  length_ += steps;
}

void KvCache::clear() {
  length_ = 0;
  if (window_ > 0) {
    for (auto& layer : layers_) {
      layer.keys.reset();
      layer.values.reset();
    }
  }
}

KvCache::Buffers KvCache::reserve(int index, int steps) {
  if (window_ > 0) {
    throw std::logic_error("[KvCache] a window has no buffers.");
  }
  Layer& layer = layers_.at(index);
  int end = length_ + steps;
  if (end > layer.capacity) {
    int capacity = std::max(end, layer.capacity + layer.capacity / 2);
    capacity = (capacity + kStep - 1) / kStep * kStep;
    auto grow = [&](std::vector<float>& buffer) {
      size_t dim = head_dim_;
      std::vector<float> room(kv_heads_ * capacity * dim);
      for (int h = 0; h < kv_heads_; ++h) {
        std::copy_n(
            buffer.data() + h * layer.capacity * dim,
            length_ * dim,
            room.data() + h * capacity * dim);
      }
      buffer.swap(room);
    };
    grow(layer.key_buffer);
    grow(layer.value_buffer);
    layer.capacity = capacity;
  }
  return {layer.key_buffer.data(), layer.value_buffer.data(), layer.capacity};
}

} // namespace mlx_audio::nn
