// Products of rows of bf16 pairs with panels, and FFConvM on them, for Highway
// kernels. Only instruction sets of 16 lanes are ever asked.
#if defined(MLX_AUDIO_KERNELS_PAIRED_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MLX_AUDIO_KERNELS_PAIRED_ROWS_INL_H_
#undef MLX_AUDIO_KERNELS_PAIRED_ROWS_INL_H_
#else
#define MLX_AUDIO_KERNELS_PAIRED_ROWS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <hwy/highway.h>

#include "kernels/bf16_pairs-inl.h"
#include "kernels/convert-inl.h"
#include "kernels/depthwise-inl.h"
#include "kernels/math-inl.h"
#include "kernels/paired_weight.h"
#include "kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Rows of FFConvM that are computed at once: with their neighbours a whole
/// number of tiles, and half a megabyte of a product's rows at most, so that
/// they stay in the second-level cache while all columns pass.
inline int64_t paired_block(int64_t depth) {
  return depth <= 256 ? 504 - 16 : 252 - 16;
}
constexpr int64_t kLanes16 = 16;

/// c [rows, 32] += a [rows, depth] times one panel.
inline void add_product(
    const uint32_t* a,
    int64_t a_stride,
    int64_t rows,
    const uint32_t* panel,
    int64_t depth,
    float* c,
    int64_t c_stride) {
  pairs::add_product(
      a,
      a_stride,
      0,
      panel,
      0,
      1,
      static_cast<int>(depth),
      c,
      c_stride,
      static_cast<int>(rows));
}

/// Each row of c [rows, count] becomes `from` [count], or zeros.
inline void fill_rows(
    const float* from,
    float* c,
    int64_t stride,
    int64_t rows,
    int64_t count) {
  for (int64_t r = 0; r < rows; ++r) {
    if (from == nullptr) {
      std::fill(c + r * stride, c + r * stride + count, 0.0f);
    } else {
      std::copy(from, from + count, c + r * stride);
    }
  }
}

/// c [rows, columns] = bias + a times panels [first, first + columns / 32).
inline void product_rows(
    const uint32_t* a,
    int64_t a_stride,
    int64_t rows,
    const PairedWeight& w,
    int64_t first,
    int64_t columns,
    const float* bias,
    float* c,
    int64_t c_stride) {
  fill_rows(bias, c, c_stride, rows, columns);
  for (int64_t p = 0; p < columns / kPairedColumns; ++p) {
    add_product(
        a,
        a_stride,
        rows,
        w.panel(first + p),
        w.depth(),
        c + p * kPairedColumns,
        c_stride);
  }
}

/// Rows of f32 to rows of pairs of neighbours; count is a multiple of 16.
inline void to_pairs(const float* from, uint32_t* to, int64_t count) {
  const hn::ScalableTag<float> d;
  auto* out = reinterpret_cast<hwy::bfloat16_t*>(to);
  for (int64_t i = 0; i < count; i += kLanes16) {
    store_f32(d, hn::LoadU(d, from + i), out + i);
  }
}

struct FeedForwardConv {
  const uint32_t* x; // [time, in / 2]
  int64_t time;
  const PairedWeight* linear;
  const float* bias; // [out]
  const float* factors; // of x's rows, [time], or null
  const float* conv; // [kernel, out]
  int kernel;
};

/// FFConvM for rows [begin, end) and `columns` (64 at most) columns from
/// `first` on. `sink` gets sums[j] of row t + j and columns c to c + 15, for 8,
/// 2 or (at an odd end) 1 rows; t - begin is even. The residual, or null, is
/// [time, residual_stride].
template <class Sink>
void feed_forward_conv(
    const FeedForwardConv& a,
    int64_t begin,
    int64_t end,
    int64_t first,
    int64_t columns,
    const float* residual,
    int64_t residual_stride,
    const Sink& sink) {
  static thread_local Scratch scratch;
  const int half = a.kernel / 2;
  const int64_t low = std::max<int64_t>(0, begin - half);
  const int64_t count = std::min(a.time, end + half) - low;
  const int64_t depth = a.linear->depth();
  float* h = scratch.floats((count + a.kernel) * columns);
  float* weight = h + count * columns;
  for (int k = 0; k < a.kernel; ++k) {
    const float* from = a.conv + k * a.linear->out() + first;
    std::copy(from, from + columns, weight + k * columns);
  }
  product_rows(
      a.x + low * depth,
      depth,
      count,
      *a.linear,
      first / kPairedColumns,
      columns,
      nullptr,
      h,
      columns);
  // Rows become final just before the convolution needs them.
  int64_t ready = 0;
  auto activate = [&](int64_t until) HWY_ATTR {
    const hn::ScalableTag<float> d;
    for (; ready < std::min(until, count); ++ready) {
      const auto factor =
          hn::Set(d, a.factors == nullptr ? 1.0f : a.factors[low + ready]);
      for (int64_t i = 0; i < columns; i += kLanes16) {
        float* at = h + ready * columns + i;
        const auto bias = hn::LoadU(d, a.bias + first + i);
        const auto v = hn::MulAdd(hn::LoadU(d, at), factor, bias);
        hn::StoreU(math::silu_for_bf16(d, v), d, at);
      }
    }
  };
  const DepthwiseArguments conv{
      .x = h,
      .weight = weight,
      .residual = residual == nullptr
          ? nullptr
          : residual + low * residual_stride + first,
      .y = nullptr,
      .time = static_cast<int>(count),
      .channels = static_cast<int>(columns),
      .kernel = a.kernel,
      .x_stride = columns,
      .weight_stride = columns,
      .y_stride = residual_stride};
  auto shifted = [&](auto d, int64_t t, int64_t c, const auto& sums)
                     HWY_ATTR { sink(d, low + t, first + c, sums); };
  int64_t t = begin - low;
  auto convolve = [&](auto rows) HWY_ATTR {
    constexpr int kRows = decltype(rows)::value;
    for (; t + kRows <= end - low; t += kRows) {
      activate(t + kRows + half);
      some_depthwise_rows<kRows>(conv, t, shifted);
    }
  };
  convolve(std::integral_constant<int, 8>());
  convolve(std::integral_constant<int, 2>());
  convolve(std::integral_constant<int, 1>());
}

/// A sink that stores rows of f32.
struct StoreF32 {
  float* y;
  int64_t stride;

  template <class D, int kRows>
  HWY_INLINE void
  operator()(D d, int64_t t, int64_t c, const hn::Vec<D> (&sums)[kRows]) const {
    for (int j = 0; j < kRows; ++j) {
      hn::StoreU(sums[j], d, y + (t + j) * stride + c);
    }
  }
};

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // include guard
