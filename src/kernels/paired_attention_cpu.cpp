#include "kernels/paired_layers_cpu.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/parallel.h"
#include "kernels/round_up.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/paired_attention_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/mossformer_rows-inl.h"
#include "kernels/paired_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

constexpr int64_t kColumns = 64; // of a piece of FFConvM
constexpr int64_t kRows = kPairedColumns; // of a piece of views

// Pairs of bf16 are kept in the forms that products read: "rows" [rows, depth]
// and "panels" [columns / 32, depth, 32], with time or channels in pairs.
class Attention {
 public:
  Attention(
      const PairedAttention& layer,
      const float* x,
      const float* rotary,
      int64_t rotary_pairs,
      int64_t time,
      float* y)
      : layer_(layer),
        x_(x),
        rotary_(rotary),
        rotary_pairs_(rotary_pairs),
        time_(time),
        y_(y),
        channels_(layer.to_hidden.linear.in()),
        width_(layer.options.value_dim),
        dim_(layer.gamma.shape(1)),
        group_(layer.options.group),
        half_(round_up(time, kRows) / 2) {}

  void run() {
    reserve();
    const int64_t block = paired_block(layer_.to_hidden.linear.depth());
    const int64_t blocks = round_up(time_, block) / block;
    parallel_for(time_, 64, [&](int64_t t) HWY_ATTR { norm_row(t); });
    const FeedForwardConv hidden{
        .x = input_,
        .time = time_,
        .linear = &layer_.to_hidden.linear,
        .bias = layer_.to_hidden.bias.data<float>(),
        .factors = nullptr,
        .conv = layer_.to_hidden.conv.data<float>(),
        .kernel = layer_.to_hidden.conv.shape(0)};
    const int64_t pieces = round_up(2 * width_ + dim_, kColumns) / kColumns;
    parallel_for(blocks * pieces, 1, [&](int64_t i) HWY_ATTR {
      const int64_t begin = i / pieces * block;
      hidden_piece(
          hidden, begin, std::min(time_, begin + block), i % pieces * kColumns);
    });
    parallel_for(
        half_ * 2 / kRows, 1, [&](int64_t i) HWY_ATTR { views(i * kRows); });
    const int64_t panels = 2 * width_ / kPairedColumns;
    parallel_for(panels, 1, [&](int64_t p) HWY_ATTR { summarize(p); });
    parallel_for(
        half_ * 2 / 64 + 1, 1, [&](int64_t i) HWY_ATTR { scores(i * 64); });
    const int64_t groups = round_up(time_, group_) / group_;
    const int64_t gates = width_ / kPairedColumns;
    parallel_for(groups * gates, 1, [&](int64_t i) HWY_ATTR {
      attend(i / gates * group_, i % gates);
    });
    parallel_for(time_, 64, [&](int64_t t) HWY_ATTR {
      float square = 0;
      for (int64_t p = 0; p < gates; ++p) {
        square += squares_[p * time_ + t];
      }
      factors_[t] = scale_norm_factor(square, width_, layer_.options.eps);
    });
    const FeedForwardConv out{
        .x = gated_,
        .time = time_,
        .linear = &layer_.to_out.linear,
        .bias = layer_.to_out.bias.data<float>(),
        .factors = factors_,
        .conv = layer_.to_out.conv.data<float>(),
        .kernel = layer_.to_out.conv.shape(0)};
    const int64_t outs = round_up(channels_, kColumns) / kColumns;
    const int64_t step = paired_block(layer_.to_out.linear.depth());
    const int64_t steps = round_up(time_, step) / step;
    parallel_for(steps * outs, 1, [&](int64_t i) HWY_ATTR {
      const int64_t begin = i / outs * step;
      const int64_t c = i % outs * kColumns;
      feed_forward_conv(
          out,
          begin,
          std::min(time_, begin + step),
          c,
          std::min(kColumns, channels_ - c),
          x_,
          channels_,
          StoreF32{y_, channels_});
    });
  }

 private:
  void reserve() {
    static thread_local Scratch scratch;
    const int64_t rows = 2 * half_;
    int64_t total = 0;
    auto take = [&](int64_t count) {
      total += round_up(count, 16);
      return total - round_up(count, 16);
    };
    const int64_t input = take(time_ * channels_ / 2);
    const int64_t values = take(half_ * 2 * width_);
    const int64_t shared = take(time_ * dim_);
    const int64_t quad_q = take(rows * dim_ / 2);
    const int64_t lin_q = take(rows * dim_ / 2);
    const int64_t quad_k = take(rows * dim_ / 2);
    const int64_t lin_k = take(half_ * dim_);
    const int64_t summary = take(width_ * dim_);
    const int64_t scores = take(rows * group_ / 2);
    const int64_t gated = take(time_ * width_ / 2);
    const int64_t squares = take(time_ * width_ / kPairedColumns);
    const int64_t factors = take(time_);
    float* base = scratch.floats(total);
    auto words = [base](int64_t at) {
      return reinterpret_cast<uint32_t*>(base + at);
    };
    input_ = words(input);
    values_ = words(values);
    shared_ = base + shared;
    quad_q_ = words(quad_q);
    lin_q_ = words(lin_q);
    quad_k_ = words(quad_k);
    lin_k_ = words(lin_k);
    summary_ = words(summary);
    scores_ = words(scores);
    gated_ = words(gated);
    squares_ = base + squares;
    factors_ = base + factors;
  }

  void norm_row(int64_t t) {
    static thread_local Scratch scratch;
    float* row = scratch.floats(channels_);
    const float* x = x_ + t * channels_;
    shift_scale_norm_row(
        t == 0 ? nullptr : x - channels_,
        x,
        row,
        channels_,
        layer_.options.eps);
    to_pairs(row, input_ + t * channels_ / 2, channels_);
  }

  uint32_t* value_panel(int64_t p) {
    return values_ + p * half_ * kPairedColumns;
  }

  void hidden_piece(
      const FeedForwardConv& hidden,
      int64_t begin,
      int64_t end,
      int64_t c) {
    const int64_t count = std::min(kColumns, 2 * width_ + dim_ - c);
    feed_forward_conv(
        hidden,
        begin,
        end,
        c,
        count,
        nullptr,
        0,
        [this](auto d, int64_t t, int64_t at, const auto& sums) HWY_ATTR {
          constexpr int kCount =
              std::extent_v<std::remove_reference_t<decltype(sums)>>;
          if (at >= 2 * width_) {
            float* to = shared_ + t * dim_ + at - 2 * width_;
            for (int j = 0; j < kCount; ++j) {
              hn::StoreU(sums[j], d, to + j * dim_);
            }
          } else {
            pair_times<kCount>(d, sums, value_row(t, at));
          }
        });
    if (end == time_) {
      for (int64_t p = c / kPairedColumns;
           p < std::min(c + count, 2 * width_) / kPairedColumns;
           ++p) {
        std::fill(
            value_panel(p) + (end + 1) / 2 * kPairedColumns,
            value_panel(p) + half_ * kPairedColumns,
            0u);
      }
    }
  }

  uint32_t* value_row(int64_t t, int64_t c) {
    return value_panel(c / kPairedColumns) + t / 2 * kPairedColumns +
        c % kPairedColumns;
  }

  template <int kCount, class D, class Sums>
  HWY_INLINE void pair_times(D d, const Sums& sums, uint32_t* to) {
    const hn::RebindToUnsigned<D> u;
    for (int j = 0; j < kCount; j += 2) {
      const auto next = j + 1 < kCount ? sums[j + 1] : hn::Zero(d);
      if constexpr (hn::MaxLanes(D()) == kLanes16) {
        hn::Store(pairs::make(sums[j], next), u, to + j / 2 * kPairedColumns);
      }
    }
  }

  // Rows [begin, begin + 32); beyond the end they are zeros.
  void views(int64_t begin) {
    static thread_local Scratch scratch;
    const int64_t size = kRows * dim_;
    float* views = scratch.floats(4 * size);
    for (int64_t t = begin; t < begin + kRows; ++t) {
      float* row = views + (t - begin) * dim_;
      if (t < time_) {
        views_row(
            shared_ + t * dim_,
            layer_.gamma.data<float>(),
            layer_.beta.data<float>(),
            rotary_ + t * 2 * rotary_pairs_,
            rotary_pairs_,
            dim_,
            row,
            size);
      } else {
        for (int view = 0; view < 4; ++view) {
          std::fill(row + view * size, row + view * size + dim_, 0.0f);
        }
      }
    }
    const int64_t depth = dim_ / 2;
    to_pairs(views, quad_q_ + begin * depth, size);
    to_pairs(views + size, lin_q_ + begin * depth, size);
    // Queries' products run over channels, the summary's over time.
    static thread_local Scratch keys_scratch;
    auto* keys = reinterpret_cast<uint32_t*>(keys_scratch.floats(size / 2));
    to_pairs(views + 2 * size, keys, size);
    uint32_t* panel = quad_k_ + begin * depth;
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t t = 0; t < kRows; ++t) {
        panel[k * kRows + t] = keys[t * depth + k];
      }
    }
    const hn::ScalableTag<float> d;
    const hn::ScalableTag<uint32_t> u;
    for (int64_t t = 0; t < kRows; t += 2) {
      const float* row = views + 3 * size + t * dim_;
      for (int64_t i = 0; i < dim_; i += kLanes16) {
        HWY_ALIGN uint32_t pair[kLanes16] = {};
        hn::Store(
            pairs::make(hn::LoadU(d, row + i), hn::LoadU(d, row + dim_ + i)),
            u,
            pair);
        for (int64_t j = 0; j < kLanes16; ++j) {
          lin_k_[(i + j) * half_ + (begin + t) / 2] = pair[j];
        }
      }
    }
  }

  // Panel p of the keys' transpose times the values, over all time.
  void summarize(int64_t p) {
    static thread_local Scratch scratch;
    float* sums = scratch.floats(dim_ * kPairedColumns);
    fill_rows(nullptr, sums, kPairedColumns, dim_, kPairedColumns);
    add_product(
        lin_k_, half_, dim_, value_panel(p), half_, sums, kPairedColumns);
    const hn::ScalableTag<float> d;
    const hn::ScalableTag<uint32_t> u;
    const auto per_time = hn::Set(d, 1.0f / static_cast<float>(time_));
    uint32_t* to = summary_ + p * dim_ / 2 * kPairedColumns;
    for (int64_t k = 0; k < dim_; k += 2) {
      for (int64_t i = 0; i < kPairedColumns; i += kLanes16) {
        const float* at = sums + k * kPairedColumns + i;
        hn::Store(
            pairs::make(
                hn::Mul(hn::LoadU(d, at), per_time),
                hn::Mul(hn::LoadU(d, at + kPairedColumns), per_time)),
            u,
            to + k / 2 * kPairedColumns + i);
      }
    }
  }

  // Rows of relu(q k^T / group)^2; keys beyond the end give zeros.
  void scores(int64_t begin) {
    static thread_local Scratch scratch;
    const int64_t rows = std::min<int64_t>(64, time_ - begin);
    if (rows <= 0) {
      return;
    }
    const int64_t group = begin / group_ * group_;
    const int64_t count =
        round_up(std::min(group_, time_ - group), kPairedColumns);
    const int64_t depth = dim_ / 2;
    float* sums = scratch.floats(64 * group_);
    fill_rows(nullptr, sums, count, rows, count);
    for (int64_t k = 0; k < count; k += kPairedColumns) {
      add_product(
          quad_q_ + begin * depth,
          depth,
          rows,
          quad_k_ + (group + k) * depth,
          depth,
          sums + k,
          count);
    }
    for (int64_t r = 0; r < rows; ++r) {
      float* row = sums + r * count;
      scale(row, 1.0f / static_cast<float>(group_), row, count);
      squared_relu(row, count);
      to_pairs(row, scores_ + (begin + r) * group_ / 2, count);
    }
  }

  void add_attended(int64_t begin, int64_t rows, int64_t p, float* sums) {
    fill_rows(nullptr, sums, kPairedColumns, rows, kPairedColumns);
    add_product(
        scores_ + begin * group_ / 2,
        group_ / 2,
        rows,
        value_panel(p) + begin / 2 * kPairedColumns,
        (rows + 1) / 2,
        sums,
        kPairedColumns);
    add_product(
        lin_q_ + begin * dim_ / 2,
        dim_ / 2,
        rows,
        summary_ + p * dim_ / 2 * kPairedColumns,
        dim_ / 2,
        sums,
        kPairedColumns);
  }

  // Columns 32 p of a group: att(u) v sigmoid(att(v) u).
  void attend(int64_t begin, int64_t p) {
    static thread_local Scratch scratch;
    const int64_t rows = std::min(group_, time_ - begin);
    float* of_v = scratch.floats(2 * group_ * kPairedColumns);
    float* of_u = of_v + group_ * kPairedColumns;
    const int64_t u_panel = p + width_ / kPairedColumns;
    add_attended(begin, rows, p, of_v);
    add_attended(begin, rows, u_panel, of_u);
    const hn::ScalableTag<float> d;
    const hn::ScalableTag<uint32_t> u;
    const auto high = hn::Set(u, 0xffff0000u);
    auto value = [&](const uint32_t* panel, int64_t t, int64_t i) HWY_ATTR {
      const auto pair = hn::Load(u, panel + t / 2 * kPairedColumns + i);
      return hn::BitCast(
          d, t % 2 == 0 ? hn::ShiftLeft<16>(pair) : hn::And(pair, high));
    };
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t t = begin + r;
      auto squares = hn::Zero(d);
      auto* to = reinterpret_cast<hwy::bfloat16_t*>(gated_ + t * width_ / 2) +
          p * kPairedColumns;
      for (int64_t i = 0; i < kPairedColumns; i += kLanes16) {
        const int64_t at = r * kPairedColumns + i;
        const auto gate = math::sigmoid(
            d,
            hn::Mul(
                hn::LoadU(d, of_v + at), value(value_panel(u_panel), t, i)));
        const auto v =
            hn::Mul(hn::LoadU(d, of_u + at), value(value_panel(p), t, i));
        const auto y = hn::Mul(v, gate);
        store_f32(d, y, to + i);
        squares = hn::MulAdd(y, y, squares);
      }
      squares_[p * time_ + t] = hn::GetLane(hn::SumOfLanes(d, squares));
    }
  }

  const PairedAttention& layer_;
  const float* x_;
  const float* rotary_;
  int64_t rotary_pairs_;
  int64_t time_;
  float* y_;
  int64_t channels_;
  int64_t width_; // of v and of u
  int64_t dim_;
  int64_t group_;
  int64_t half_; // pairs of time, padded
  uint32_t* input_ = nullptr; // rows [time], channels in pairs
  uint32_t* values_ = nullptr; // panels of v | u, time in pairs
  float* shared_ = nullptr; // [time, dim]
  uint32_t* quad_q_ = nullptr; // rows [time], channels in pairs
  uint32_t* lin_q_ = nullptr;
  uint32_t* quad_k_ = nullptr; // panels of time, channels in pairs
  uint32_t* lin_k_ = nullptr; // rows [dim], time in pairs
  uint32_t* summary_ = nullptr; // panels of v | u, dim in pairs
  uint32_t* scores_ = nullptr; // rows [time], a group's time in pairs
  uint32_t* gated_ = nullptr; // rows [time], channels in pairs
  float* squares_ = nullptr; // [width / 32, time], of gated
  float* factors_ = nullptr; // [time]
};

} // namespace

void paired_attention(
    const PairedAttention& layer,
    const float* x,
    const float* rotary,
    int64_t pairs,
    int64_t time,
    float* y) {
  Attention(layer, x, rotary, pairs, time, y).run();
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(paired_attention);

void paired_attention_cpu(
    const PairedAttention& layer,
    const float* x,
    const float* rotary,
    int64_t pairs,
    int64_t time,
    float* y) {
  HWY_DYNAMIC_DISPATCH(paired_attention)(layer, x, rotary, pairs, time, y);
}

} // namespace mlx_audio::kernels
#endif
