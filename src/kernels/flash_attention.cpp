#include "kernels/flash_attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/flash_attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/convert-inl.h"
#include "kernels/math-inl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kQueryBlock = 48; // a multiple of every kTileRows
constexpr int64_t kKeyBlock = 256; // its panels of K and V stay in L2
constexpr int64_t kFewQueries = 4; // below, panels do not pay

/// Row (i, j, k) of `a` in f32, zeros up to `padded`.
void load_row(
    const Strided& a,
    int64_t i,
    int64_t j,
    int64_t k,
    int64_t count,
    int64_t padded,
    float* to) {
  with_type(a.type, a.data, a.offset(i, j, k), [&](const auto* p) HWY_ATTR {
    if (a.strides[3] == 1 || count == 1) {
      convert_to_f32(p, to, count);
    } else {
      for (int64_t l = 0; l < count; ++l) {
        convert_to_f32(p + l * a.strides[3], to + l, 1);
      }
    }
  });
  std::fill(to + count, to + padded, 0.0f);
}

void scale_row(float* row, int64_t count, float factor) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i < count; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, row + i), hn::Set(d, factor)), d, row + i);
  }
}

/// One pass of online softmax (Milakov & Gimelshein 2018) over a row's scores
/// [count], which become weights relative to the largest score so far. Returns
/// what earlier sums are to be multiplied by. The row has room for a vector
/// more.
float softmax_step(float* scores, int64_t count, float& largest, float& sum) {
  const hn::ScalableTag<float> d;
  std::fill(scores + count, scores + round_up(count, kLanes), -kInfinity);
  auto top = hn::Set(d, largest);
  for (int64_t i = 0; i < count; i += kLanes) {
    top = hn::Max(top, hn::LoadU(d, scores + i));
  }
  float previous = largest;
  largest = hn::GetLane(hn::MaxOfLanes(d, top));
  // All hidden so far: differences from -inf would be NaN.
  float origin = largest == -kInfinity ? 0.0f : largest;
  const auto base = hn::Set(d, origin);
  auto total = hn::Zero(d);
  for (int64_t i = 0; i < count; i += kLanes) {
    const auto e = math::exp(d, hn::Sub(hn::LoadU(d, scores + i), base));
    hn::StoreU(e, d, scores + i);
    total = hn::Add(total, e);
  }
  float factor = std::exp(previous - origin);
  sum = sum * factor + hn::GetLane(hn::SumOfLanes(d, total));
  return factor;
}

void add_bias(
    const AttentionArgs& a,
    int64_t b,
    int64_t h,
    int64_t query,
    int64_t key,
    int64_t count,
    float* scores) {
  if (a.bias.data == nullptr) {
    return;
  }
  HWY_ALIGN float row[kKeyBlock];
  for (int64_t i = 0; i < count; i += kKeyBlock) {
    int64_t n = std::min(kKeyBlock, count - i);
    Strided at = a.bias;
    auto size = at.type == FloatType::f32 ? 4 : 2;
    at.data =
        static_cast<const uint8_t*>(at.data) + (key + i) * at.strides[3] * size;
    load_row(at, b, h, query, n, n, row);
    for (int64_t l = 0; l < n; ++l) {
      scores[i + l] += row[l];
    }
  }
}

void store_output(
    const AttentionArgs& a,
    int64_t b,
    int64_t h,
    int64_t query,
    float* row,
    float sum) {
  scale_row(row, a.value_dim, sum > 0 ? 1 / sum : 0.0f);
  int64_t at = ((b * a.queries + query) * a.heads + h) * a.value_dim;
  with_type(a.q.type, a.y, at, [&](auto* y) HWY_ATTR {
    convert_from_f32(row, y, a.value_dim);
  });
}

// --- many queries ---

class Flash {
 public:
  explicit Flash(const AttentionArgs& args)
      : a_(args),
        depth_(round_up(args.dim, 4)),
        width_(round_up(args.value_dim, kTileColumns)),
        keys_(round_up(args.keys, kTileColumns)) {}

  void run() {
    static thread_local Scratch k_scratch;
    static thread_local Scratch v_scratch;
    int64_t kv = a_.batch * a_.kv_heads;
    k_ = k_scratch.floats(kv * keys_ * depth_);
    v_ = v_scratch.floats(kv * keys_ * width_);
    int64_t panels = keys_ / kTileColumns;
    double flops = 4.0 * static_cast<double>(a_.batch * a_.heads) *
        static_cast<double>(a_.queries) * static_cast<double>(a_.keys * a_.dim);
    bool small = flops < 1e6;
    parallel_for(
        kv * panels,
        small ? kv * panels : 16,
        [this, panels](int64_t i)
            HWY_ATTR { pack(i / panels, i % panels * kTileColumns); });
    int64_t blocks = (a_.queries + kQueryBlock - 1) / kQueryBlock;
    int64_t pieces = a_.batch * a_.heads * blocks;
    parallel_for(
        pieces, small ? pieces : 1, [this, blocks](int64_t i) HWY_ATTR {
          // Late blocks see more keys if causal: they go first.
          block(i / blocks, (blocks - 1 - i % blocks) * kQueryBlock);
        });
  }

 private:
  // K as [kv, panels, depth_, kTileColumns], V as [kv, panels of value_dim,
  // keys_, kTileColumns].
  void pack(int64_t kv, int64_t key) {
    static thread_local Scratch scratch;
    int64_t b = kv / a_.kv_heads;
    int64_t h = kv % a_.kv_heads;
    int64_t stride = std::max(depth_, width_);
    constexpr int64_t step = std::min<int64_t>(4, kTileColumns);
    float* rows = scratch.floats(step * stride);
    for (int64_t i = 0; i < kTileColumns; ++i) {
      float* row = rows + i % step * stride;
      if (key + i < a_.keys) {
        load_row(a_.k, b, h, key + i, a_.dim, depth_, row);
      } else {
        std::fill(row, row + depth_, 0.0f);
      }
      if (i % step == step - 1) {
        transpose_into_panel(
            rows,
            stride,
            depth_,
            k_ + (kv * keys_ + key) * depth_ + i / step * step);
      }
    }
    for (int64_t i = 0; i < kTileColumns; ++i) {
      if (key + i < a_.keys) {
        load_row(a_.v, b, h, key + i, a_.value_dim, width_, rows);
      } else {
        std::fill(rows, rows + width_, 0.0f);
      }
      for (int64_t n = 0; n < width_; n += kTileColumns) {
        std::copy(
            rows + n,
            rows + n + kTileColumns,
            v_ + (kv * width_ + n) * keys_ + (key + i) * kTileColumns);
      }
    }
  }

  // Queries [first, first + kQueryBlock) of one head.
  void block(int64_t bh, int64_t first) {
    static thread_local Scratch scratch;
    int64_t b = bh / a_.heads;
    int64_t h = bh % a_.heads;
    int64_t kv = b * a_.kv_heads + h / (a_.heads / a_.kv_heads);
    int64_t queries = std::min(kQueryBlock, a_.queries - first);
    float* q = scratch.floats(
        kQueryBlock * (round_up(depth_, kLanes) + kKeyBlock + width_));
    float* scores = q + kQueryBlock * round_up(depth_, kLanes);
    float* sums = scores + kQueryBlock * kKeyBlock;
    int64_t q_stride = round_up(depth_, kLanes);
    float largest[kQueryBlock];
    float total[kQueryBlock];
    for (int64_t i = 0; i < queries; ++i) {
      load_row(a_.q, b, h, first + i, a_.dim, q_stride, q + i * q_stride);
      scale_row(q + i * q_stride, q_stride, a_.scale);
      largest[i] = -kInfinity;
      total[i] = 0;
    }
    std::fill(sums, sums + queries * width_, 0.0f);
    int64_t end = std::min(a_.keys, a_.visible(first + queries - 1));
    for (int64_t key = 0; key < end; key += kKeyBlock) {
      int64_t count = std::min(kKeyBlock, end - key);
      for (int64_t n = 0; n < count; n += kTileColumns) {
        const float* panel = k_ + (kv * keys_ + key + n) * depth_;
        for (int64_t i = 0; i < queries; i += kTileRows) {
          tile_of(std::min<int64_t>(kTileRows, queries - i))(
              q + i * q_stride,
              q_stride,
              panel,
              depth_,
              scores + i * kKeyBlock + n,
              kKeyBlock,
              kTileColumns,
              true);
        }
      }
      for (int64_t i = 0; i < queries; ++i) {
        float* row = scores + i * kKeyBlock;
        add_bias(a_, b, h, first + i, key, count, row);
        int64_t visible =
            std::clamp<int64_t>(a_.visible(first + i) - key, 0, count);
        float factor = softmax_step(row, visible, largest[i], total[i]);
        std::fill(row + visible, row + count, 0.0f);
        if (key > 0 && factor != 1) {
          scale_row(sums + i * width_, width_, factor);
        }
      }
      for (int64_t n = 0; n < width_; n += kTileColumns) {
        const float* panel =
            v_ + (kv * width_ + n) * keys_ + key * kTileColumns;
        for (int64_t i = 0; i < queries; i += kTileRows) {
          tile_of(std::min<int64_t>(kTileRows, queries - i))(
              scores + i * kKeyBlock,
              kKeyBlock,
              panel,
              count,
              sums + i * width_ + n,
              width_,
              kTileColumns,
              false);
        }
      }
    }
    for (int64_t i = 0; i < queries; ++i) {
      store_output(a_, b, h, first + i, sums + i * width_, total[i]);
    }
  }

  const AttentionArgs& a_;
  int64_t depth_;
  int64_t width_;
  int64_t keys_;
  float* k_ = nullptr;
  float* v_ = nullptr;
};

// --- few queries: K and V are read as they lie ---

/// scores[t] = q . k[t]; q is padded with zeros to whole vectors.
template <class T>
void dot_keys(
    const float* q,
    const T* k,
    int64_t stride,
    int64_t count,
    int64_t dim,
    float* scores) {
  const hn::ScalableTag<float> d;
  int64_t whole = dim / kLanes * kLanes;
  for (int64_t t = 0; t < count; ++t, k += stride) {
    auto even = hn::Zero(d);
    auto odd = hn::Zero(d);
    int64_t i = 0;
    for (; i + 2 * kLanes <= whole; i += 2 * kLanes) {
      even = hn::MulAdd(load_f32(d, k + i), hn::LoadU(d, q + i), even);
      odd = hn::MulAdd(
          load_f32(d, k + i + kLanes), hn::LoadU(d, q + i + kLanes), odd);
    }
    if (i < whole) {
      even = hn::MulAdd(load_f32(d, k + i), hn::LoadU(d, q + i), even);
    }
    if (whole < dim) {
      HWY_ALIGN float tail[kLanes] = {};
      convert_to_f32(k + whole, tail, dim - whole);
      odd = hn::MulAdd(hn::Load(d, tail), hn::LoadU(d, q + whole), odd);
    }
    scores[t] = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  }
}

/// out [dim] = sum of weights[t] v[t].
template <class T>
void add_values(
    const float* weights,
    const T* v,
    int64_t stride,
    int64_t count,
    int64_t dim,
    float* out) {
  const hn::ScalableTag<float> d;
  constexpr int width = 8; // sums in registers
  int64_t i = 0;
  for (; i + width * kLanes <= dim; i += width * kLanes) {
    hn::Vec<decltype(d)> sums[width];
    for (auto& s : sums) {
      s = hn::Zero(d);
    }
    for (int64_t t = 0; t < count; ++t) {
      const auto p = hn::Set(d, weights[t]);
      for (int l = 0; l < width; ++l) {
        sums[l] = hn::MulAdd(
            p, load_f32(d, v + t * stride + i + l * kLanes), sums[l]);
      }
    }
    for (int l = 0; l < width; ++l) {
      hn::StoreU(sums[l], d, out + i + l * kLanes);
    }
  }
  for (; i < dim; i += kLanes) {
    int64_t n = std::min(kLanes, dim - i);
    auto sum = hn::Zero(d);
    HWY_ALIGN float tail[kLanes] = {};
    for (int64_t t = 0; t < count; ++t) {
      convert_to_f32(v + t * stride + i, tail, n);
      sum = hn::MulAdd(hn::Set(d, weights[t]), hn::Load(d, tail), sum);
    }
    hn::StoreU(sum, d, out + i);
  }
}

void few_queries(const AttentionArgs& a) {
  int64_t pieces = a.batch * a.heads;
  bool small = pieces * a.queries * a.keys * a.dim < 100'000;
  parallel_for(pieces, small ? pieces : 1, [&](int64_t bh) HWY_ATTR {
    static thread_local Scratch scratch;
    int64_t b = bh / a.heads;
    int64_t h = bh % a.heads;
    int64_t kv = h / (a.heads / a.kv_heads);
    int64_t padded = round_up(a.dim, kLanes);
    int64_t padded_value = round_up(a.value_dim, kLanes);
    float* q = scratch.floats(
        padded + padded_value + round_up(a.keys, kLanes) + kLanes);
    float* out = q + padded;
    float* scores = out + padded_value;
    for (int64_t query = 0; query < a.queries; ++query) {
      load_row(a.q, b, h, query, a.dim, padded, q);
      scale_row(q, padded, a.scale);
      int64_t count = std::clamp<int64_t>(a.visible(query), 0, a.keys);
      with_type(
          a.k.type,
          a.k.data,
          a.k.offset(b, kv, 0),
          [&](const auto* k) HWY_ATTR {
            dot_keys(q, k, a.k.strides[2], count, a.dim, scores);
          });
      add_bias(a, b, h, query, 0, count, scores);
      float largest = -kInfinity;
      float sum = 0;
      softmax_step(scores, count, largest, sum);
      with_type(
          a.v.type,
          a.v.data,
          a.v.offset(b, kv, 0),
          [&](const auto* v) HWY_ATTR {
            add_values(scores, v, a.v.strides[2], count, a.value_dim, out);
          });
      store_output(a, b, h, query, out, sum);
    }
  });
}

} // namespace

void flash_attention(const AttentionArgs& args) {
  bool rows_lie = args.k.strides[3] == 1 && args.v.strides[3] == 1;
  if (args.queries <= kFewQueries && rows_lie) {
    few_queries(args);
  } else {
    Flash(args).run();
  }
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(flash_attention);

void flash_attention(const AttentionArgs& args) {
  HWY_DYNAMIC_DISPATCH(flash_attention)(args);
}

} // namespace mlx_audio::kernels
#endif
