#include "kernels/kv_cache.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "kernels/attention.h"
#include "kernels/cpu_op.h"
#include "kernels/kv_cache_cpu.h"

namespace mlx_audio::kernels {

struct KvCache::Storage {
  std::vector<float> keys; // [max_rows, heads, capacity, dim]
  std::vector<float> values;
};

namespace {

// [rows, steps, heads dim] -> [rows, heads, steps, dim]
mx::array split_heads(const mx::array& x, int heads) {
  int dim = x.shape(2) / heads;
  return mx::transpose(
      mx::reshape(x, {x.shape(0), x.shape(1), heads, dim}), {0, 2, 1, 3});
}

mx::array merge_heads(const mx::array& x) {
  return mx::reshape(
      mx::transpose(x, {0, 2, 1, 3}),
      {x.shape(0), x.shape(2), x.shape(1) * x.shape(3)});
}

} // namespace

KvCache::KvCache(int max_rows, int heads, int dim, int capacity)
    : max_rows_(max_rows), heads_(heads), dim_(dim), capacity_(capacity) {
  if (max_rows < 1 || heads < 1 || dim < 1 || capacity < 1) {
    throw std::invalid_argument("[kv_cache] sizes must be positive.");
  }
}

mx::array KvCache::attend(const mx::array& qkv, float scale) {
  if (qkv.ndim() != 3 || qkv.shape(2) != 3 * heads_ * dim_ ||
      qkv.shape(0) > max_rows_ || length_ + qkv.shape(1) > capacity_) {
    throw std::invalid_argument(
        "[kv_cache] qkv must be [<= " + std::to_string(max_rows_) +
        ", <= " + std::to_string(capacity_ - length_) + ", " +
        std::to_string(3 * heads_ * dim_) + "].");
  }
  int rows = qkv.shape(0);
  int steps = qkv.shape(1);
  if (!use_cpu_kernels()) {
    auto parts = mx::split(qkv, 3, -1);
    auto k = split_heads(parts[1], heads_);
    auto v = split_heads(parts[2], heads_);
    if (!kv_.empty()) {
      k = mx::concatenate({kv_[0], k}, 2);
      v = mx::concatenate({kv_[1], v}, 2);
    }
    kv_ = {k, v};
    length_ += steps;
    return merge_heads(
        attention(split_heads(parts[0], heads_), k, v, scale, Mask::causal));
  }
  if (!storage_) {
    storage_ = std::make_shared<Storage>();
    auto size = static_cast<size_t>(max_rows_) * static_cast<size_t>(heads_) *
        static_cast<size_t>(capacity_) * static_cast<size_t>(dim_);
    storage_->keys.resize(size);
    storage_->values.resize(size);
  }
  holders_.resize(static_cast<size_t>(rows));
  for (int r = 0; r < rows; ++r) {
    auto& holder = holders_[static_cast<size_t>(r)];
    holder.resize(static_cast<size_t>(length_ + steps), r);
  }
  CacheShape shape{
      .rows = rows,
      .steps = steps,
      .heads = heads_,
      .dim = dim_,
      .capacity = capacity_,
      .length = length_};
  length_ += steps;
  auto x = mx::astype(qkv, mx::float32);
  auto out = cpu_op(
      "kv_cache",
      {x},
      mx::Shape{rows, steps, heads_ * dim_},
      mx::float32,
      [storage = storage_, holders = holders_, shape, scale](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        self_attention_cpu(
            in[0].data<float>(),
            storage->keys.data(),
            storage->values.data(),
            holders,
            shape,
            scale,
            out[0].data<float>());
      },
      {.flops = 4.0 * rows * steps * length_ * heads_ * dim_,
       .bytes = 8.0 * rows * length_ * heads_ * dim_});
  return mx::astype(out, qkv.dtype());
}

void KvCache::reorder(std::span<const int> sources) {
  if (sources.size() > static_cast<size_t>(max_rows_)) {
    throw std::invalid_argument("[kv_cache] more rows than max_rows.");
  }
  if (!kv_.empty()) {
    auto index = mx::array(
        sources.data(), {static_cast<int>(sources.size())}, mx::int32);
    kv_ = {mx::take(kv_[0], index, 0), mx::take(kv_[1], index, 0)};
    return;
  }
  std::vector<std::vector<int>> next;
  next.reserve(sources.size());
  for (int source : sources) {
    next.push_back(holders_.at(static_cast<size_t>(source)));
  }
  holders_ = std::move(next);
}

void KvCache::reset() {
  length_ = 0;
  holders_.clear();
  kv_.clear();
}

CrossMemory
make_cross_memory(const mx::array& kv, int heads, bool precise /* = false */) {
  auto parts = mx::split(kv, 2, -1);
  auto k = split_heads(parts[0], heads);
  auto v = split_heads(parts[1], heads);
  if (!use_cpu_kernels()) {
    return {mx::contiguous(k), mx::contiguous(v)};
  }
  auto dtype = precise ? mx::float32 : mx::float16;
  return {
      mx::contiguous(mx::astype(mx::transpose(k, {0, 1, 3, 2}), dtype)),
      mx::contiguous(mx::astype(v, dtype))};
}

mx::array cross_attention(
    const mx::array& q,
    const CrossMemory& memory,
    int heads,
    float scale,
    const std::vector<int>& elements /* = {} */) {
  int batch = memory.values.shape(0);
  int length = memory.values.shape(2);
  std::vector<int> reads = elements;
  if (reads.empty()) {
    reads.resize(static_cast<size_t>(batch));
    std::iota(reads.begin(), reads.end(), 0);
  }
  auto count = static_cast<int>(reads.size());
  if (q.ndim() != 3 || q.shape(0) % count != 0 || q.shape(2) % heads != 0 ||
      memory.values.shape(1) != heads ||
      memory.values.shape(3) * heads != q.shape(2) ||
      *std::max_element(reads.begin(), reads.end()) >= batch) {
    throw std::invalid_argument(
        "[cross_attention] queries do not match the memory.");
  }
  int group = q.shape(0) / count;
  int steps = q.shape(1);
  int dim = q.shape(2) / heads;
  // Few queries read the memory once for all of them; many are a product.
  constexpr int kFewQueries = 16;
  if (!use_cpu_kernels() || group * steps > kFewQueries) {
    auto rows = mx::reshape(q, {count, group * steps, q.shape(2)});
    auto keys = memory.keys;
    auto values = memory.values;
    if (!elements.empty()) {
      auto index = mx::array(reads.data(), {count}, mx::int32);
      keys = mx::take(keys, index, 0);
      values = mx::take(values, index, 0);
    }
    if (use_cpu_kernels()) {
      keys = mx::transpose(keys, {0, 1, 3, 2});
    }
    auto out = attention(
        split_heads(rows, heads),
        mx::astype(keys, q.dtype()),
        mx::astype(values, q.dtype()),
        scale);
    return mx::reshape(merge_heads(out), q.shape());
  }
  CrossShape shape{
      .queries = group * steps,
      .heads = heads,
      .dim = dim,
      .length = length,
      .half = memory.keys.dtype() == mx::float16};
  double bytes_read = static_cast<double>(memory.keys.nbytes()) * 2 * count /
      std::max(batch, 1);
  auto out = cpu_op(
      "cross_attention",
      {mx::astype(q, mx::float32), memory.keys, memory.values},
      q.shape(),
      mx::float32,
      [shape, scale, reads = std::move(reads)](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        cross_attention_cpu(
            in[0].data<float>(),
            in[1].data<void>(),
            in[2].data<void>(),
            reads,
            shape,
            scale,
            out[0].data<float>());
      },
      {.flops = 4.0 * q.shape(0) * steps * length * heads * dim,
       .bytes = bytes_read});
  return mx::astype(out, q.dtype());
}

} // namespace mlx_audio::kernels
