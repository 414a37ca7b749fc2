#include <algorithm>
#include <cstdint>

#include "kernels/paired_layers_cpu.h"
#include "kernels/parallel.h"
#include "kernels/round_up.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/paired_fsmn_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/mossformer_rows-inl.h"
#include "kernels/paired_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

constexpr int64_t kBlock =
    48; // rows of all channels, few enough to share evenly

class Fsmn {
 public:
  Fsmn(const PairedFsmn& layer, const float* x, int64_t time, float* y)
      : layer_(layer),
        x_(x),
        time_(time),
        y_(y),
        channels_(layer.conv1.in()),
        inner_(layer.conv1.out()) {}

  void run() {
    static thread_local Scratch scratch;
    const int64_t plane = round_up(time_ * inner_, 32);
    float* base = scratch.floats(4 * plane + plane / 2);
    normed_ = base;
    projected_ = base + plane;
    u_ = base + 2 * plane;
    v_ = base + 3 * plane;
    again_ = reinterpret_cast<uint32_t*>(base + 4 * plane);
    const int64_t blocks = round_up(time_, kBlock) / kBlock;
    parallel_for(blocks, 1, [&](int64_t i) HWY_ATTR { enter(i * kBlock); });
    const FeedForwardConv to_uv{
        .x = again_,
        .time = time_,
        .linear = &layer_.to_uv.linear,
        .bias = layer_.to_uv.bias.data<float>(),
        .factors = nullptr,
        .conv = layer_.to_uv.conv.data<float>(),
        .kernel = layer_.to_uv.conv.shape(0)};
    constexpr int64_t columns = kPairedColumns;
    const int64_t pieces = 2 * inner_ / columns;
    const int64_t step = paired_block(layer_.to_uv.linear.depth());
    const int64_t steps = round_up(time_, step) / step;
    parallel_for(steps * pieces, 1, [&](int64_t i) HWY_ATTR {
      const int64_t begin = i / pieces * step;
      const int64_t c = i % pieces * columns;
      const StoreF32 store{c < inner_ ? u_ : v_ - inner_, inner_};
      feed_forward_conv(
          to_uv,
          begin,
          std::min(time_, begin + step),
          c,
          columns,
          nullptr,
          0,
          store);
    });
    parallel_for(blocks, 1, [&](int64_t i) HWY_ATTR { project(i * kBlock); });
    parallel_for(blocks, 1, [&](int64_t i) HWY_ATTR { leave(i * kBlock); });
  }

 private:
  // conv1, PReLU and the norms.
  void enter(int64_t begin) {
    static thread_local Scratch scratch;
    const int64_t rows = std::min(kBlock, time_ - begin);
    uint32_t* in = words(
        scratch.floats(kBlock * channels_ / 2 + inner_ + kBlock * inner_));
    float* again = reinterpret_cast<float*>(in) + kBlock * channels_ / 2;
    float* sums = again + inner_;
    to_pairs(x_ + begin * channels_, in, rows * channels_);
    product_rows(
        in,
        channels_ / 2,
        rows,
        layer_.conv1,
        0,
        inner_,
        layer_.conv1_bias.data<float>(),
        sums,
        inner_);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = (begin + r) * inner_;
      prelu_layer_norm_row(
          sums + r * inner_,
          *layer_.slope.data<float>(),
          layer_.norm_weight.data<float>(),
          layer_.norm_bias.data<float>(),
          normed_ + at,
          again,
          inner_,
          layer_.eps);
      to_pairs(again, again_ + at / 2, inner_);
    }
  }

  // project(relu(linear(u)))
  void project(int64_t begin) {
    static thread_local Scratch scratch;
    const int64_t rows = std::min(kBlock, time_ - begin);
    uint32_t* in = words(scratch.floats(kBlock * inner_ / 2 + kBlock * inner_));
    float* sums = reinterpret_cast<float*>(in) + kBlock * inner_ / 2;
    to_pairs(u_ + begin * inner_, in, rows * inner_);
    product_rows(
        in,
        inner_ / 2,
        rows,
        layer_.linear,
        0,
        inner_,
        layer_.linear_bias.data<float>(),
        sums,
        inner_);
    lanes(rows * inner_, [sums](auto d, int64_t i) HWY_ATTR {
      hn::StoreU(math::relu(d, hn::LoadU(d, sums + i)), d, sums + i);
    });
    to_pairs(sums, in, rows * inner_);
    product_rows(
        in,
        inner_ / 2,
        rows,
        layer_.project,
        0,
        inner_,
        nullptr,
        projected_ + begin * inner_,
        inner_);
  }

  // The memory, the gate, the norm and conv2.
  void leave(int64_t begin) {
    static thread_local Scratch scratch;
    const int64_t rows = std::min(kBlock, time_ - begin);
    // Rows of the memory are counted from `from` on.
    const int64_t half = layer_.memory.shape(0) / 2;
    const int64_t from = std::max<int64_t>(0, begin - half);
    const int64_t to = std::min(time_, begin + rows + half);
    const int64_t before = begin - from;
    float* all =
        scratch.floats((before + kBlock) * inner_ + kBlock * inner_ / 2);
    uint32_t* in = words(all + (before + kBlock) * inner_);
    depthwise_rows(
        {.x = projected_ + from * inner_,
         .weight = layer_.memory.data<float>(),
         .residual = u_ + from * inner_,
         .y = all,
         .time = static_cast<int>(to - from),
         .channels = static_cast<int>(inner_),
         .kernel = layer_.memory.shape(0),
         .x_stride = inner_,
         .weight_stride = inner_,
         .y_stride = inner_},
        before,
        before + rows);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = (begin + r) * inner_;
      float* row = all + (before + r) * inner_;
      lanes(inner_, [=, this](auto d, int64_t i) HWY_ATTR {
        hn::StoreU(
            hn::MulAdd(
                hn::LoadU(d, row + i),
                hn::LoadU(d, v_ + at + i),
                hn::LoadU(d, normed_ + at + i)),
            d,
            row + i);
      });
      const auto m = moments(row, inner_, layer_.eps);
      lanes(inner_, [=](auto d, int64_t i) HWY_ATTR {
        hn::StoreU(
            hn::Mul(
                hn::Sub(hn::LoadU(d, row + i), hn::Set(d, m.mean)),
                hn::Set(d, m.scale)),
            d,
            row + i);
      });
      to_pairs(row, in + r * inner_ / 2, inner_);
    }
    float* y = y_ + begin * channels_;
    product_rows(
        in,
        inner_ / 2,
        rows,
        layer_.conv2,
        0,
        channels_,
        layer_.conv2_bias.data<float>(),
        y,
        channels_);
    const float* x = x_ + begin * channels_;
    lanes(rows * channels_, [=](auto d, int64_t i) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, y + i), hn::LoadU(d, x + i)), d, y + i);
    });
  }

  static uint32_t* words(float* p) {
    return reinterpret_cast<uint32_t*>(p);
  }

  const PairedFsmn& layer_;
  const float* x_;
  int64_t time_;
  float* y_;
  int64_t channels_;
  int64_t inner_;
  float* normed_ = nullptr; // [time, inner]
  float* projected_ = nullptr;
  float* u_ = nullptr;
  float* v_ = nullptr;
  uint32_t* again_ = nullptr; // rows [time], channels in pairs
};

} // namespace

void paired_fsmn(
    const PairedFsmn& layer,
    const float* x,
    int64_t time,
    float* y) {
  Fsmn(layer, x, time, y).run();
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(paired_fsmn);

void paired_fsmn_cpu(
    const PairedFsmn& layer,
    const float* x,
    int64_t time,
    float* y) {
  HWY_DYNAMIC_DISPATCH(paired_fsmn)(layer, x, time, y);
}

} // namespace mlx_audio::kernels
#endif
