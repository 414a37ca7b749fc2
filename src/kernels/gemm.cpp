// Products with many rows of x, blocked as in Goto & van de Geijn 2008: panels
// of W are unpacked from their storage form into f32 in the cache and
// multiplied in register tiles.
#include "kernels/gemm.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/affine_amx.h"
#include "kernels/affine_gemm.h"
#include "kernels/bf16_amx.h"
#include "kernels/gemm_pieces.h"
#include "kernels/parallel.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/affine-inl.h"
#include "kernels/epilogue-inl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

constexpr int64_t kDepth = 256; // columns of W at once: a panel fits in L1
constexpr int64_t kPad = HWY_MAX_BYTES;

// --- unpacking W ---

template <class T>
struct FloatPanel {
  static constexpr int64_t kChunk = 4;

  const WeightMatrix& w;

  static void order(const float* from, float* to, int64_t count) {
    std::copy(from, from + count, to);
  }

  /// Columns [k, k + count) of a row in f32, then zeros to the chunk's end.
  void unpack(int64_t row, int64_t k, int64_t count, float* to) const {
    convert_to_f32(
        static_cast<const T*>(w.data) + row * w.columns + k, to, count);
    std::fill(to + count, to + round_up(count, kChunk), 0.0f);
  }
};

template <int kBits>
struct AffinePanel {
  using A = Affine<kBits>;
  static constexpr int64_t kChunk = std::max<int64_t>(A::chunk(), 4);

  const WeightMatrix& w;
  LaneFactors<kBits> lanes{w.group};

  static void order(const float* from, float* to, int64_t count) {
    to_lane_order<kBits>(from, to, count);
  }

  /// The same in lane order. Beyond count the factors are 0, and so is what is
  /// unpacked there.
  void unpack(int64_t row, int64_t k, int64_t count, float* to) const {
    const hn::ScalableTag<float> d;
    int64_t groups = w.columns / w.group;
    HWY_ALIGN float scales[kDepth / 32 + kPad] = {};
    HWY_ALIGN float biases[kDepth / 32 + kPad] = {};
    int64_t group = row * groups + k / w.group;
    int64_t used = (count + w.group - 1) / w.group;
    with_type(w.type, w.scales, group, [&](const auto* s) HWY_ATTR {
      convert_to_f32(s, scales, used);
    });
    with_type(w.type, w.biases, group, [&](const auto* b) HWY_ATTR {
      convert_to_f32(b, biases, used);
    });
    const uint8_t* bytes =
        static_cast<const uint8_t*>(w.data) + (row * w.columns + k) * kBits / 8;
    uint8_t copy[kDepth + 2 * kPad];
    int64_t left = (w.rows - row) * w.columns - k;
    if ((left - count) * kBits / 8 < 2 * kPad) {
      std::memset(copy, 0, sizeof(copy));
      std::memcpy(copy, bytes, count * kBits / 8);
      bytes = copy;
    }
    for (int64_t c = 0; c * A::chunk() < count; ++c) {
      const auto scale = lanes.load(d, scales, c);
      const auto bias = lanes.load(d, biases, c);
#if HWY_TARGET == HWY_SCALAR
      const auto v = hn::Set(d, static_cast<float>(value_at<kBits>(bytes, c)));
      hn::StoreU(hn::MulAdd(v, scale, bias), d, to + c);
#else
      const hn::RebindToUnsigned<decltype(d)> du;
      const auto windows =
          load_windows<kBits>(du, bytes + c * A::chunk_bytes());
      unrolled<A::kPerLane>([&](auto j) HWY_ATTR {
        const auto v = plain_value<kBits, j>(d, windows);
        hn::StoreU(
            hn::MulAdd(v, scale, bias), d, to + c * A::chunk() + j * kLanes);
      });
#endif
    }
  }
};

/// Rows [row, row + kTileColumns) of W, columns [k, k + count), as
/// [depth, kTileColumns] with zeros beyond W's ends.
template <class Panel>
void unpack_panel(
    const Panel& panel,
    int64_t row,
    int64_t k,
    int64_t count,
    int64_t depth,
    float* to) {
  constexpr int64_t step = std::min<int64_t>(4, kTileColumns);
  HWY_ALIGN float rows[4 * (kDepth + kPad)];
  constexpr int64_t stride = kDepth + kPad;
  for (int64_t r = 0; r < kTileColumns; r += step) {
    for (int64_t i = 0; i < step; ++i) {
      float* one = rows + i * stride;
      if (row + r + i < panel.w.rows) {
        panel.unpack(row + r + i, k, count, one);
      } else {
        std::fill(one, one + depth, 0.0f);
      }
    }
    transpose_into_panel(rows, stride, depth, to + r);
  }
}

// --- the whole ---

template <class Panel>
class Gemm {
 public:
  explicit Gemm(const GemmArgs& args)
      : args_(args),
        pieces_(args, kTileRows, kTileColumns),
        depth_blocks_((args.w.columns + kDepth - 1) / kDepth),
        x_stride_(depth_blocks_ * kDepth) {}

  void run() {
    static thread_local Scratch scratch;
    x_ = scratch.floats(round_up(args_.m, kTileRows) * x_stride_);
    int64_t tiles = (args_.m + kTileRows - 1) / kTileRows;
    parallel_for(
        tiles, pieces_.small() ? tiles : 8, [this](int64_t i) HWY_ATTR {
          pack_rows(i * kTileRows);
        });
    pieces_.each([this](const GemmPieces::Piece& p) HWY_ATTR { multiply(p); });
  }

 private:
  // x_ is [tiles of rows, depth blocks, kTileRows, kDepth].
  float* tile(int64_t row, int64_t block) {
    return x_ + row * x_stride_ + block * kTileRows * kDepth;
  }

  void pack_rows(int64_t row) {
    static thread_local Scratch scratch;
    int64_t columns = args_.w.columns;
    int64_t padded = round_up(columns, Panel::kChunk);
    float* plain = scratch.floats(2 * (padded + kPad));
    float* ordered = plain + padded + kPad;
    for (int64_t r = 0; r < std::min<int64_t>(kTileRows, args_.m - row); ++r) {
      with_type(
          args_.x_type,
          args_.x,
          (row + r) * columns,
          [&](const auto* from)
              HWY_ATTR { convert_to_f32(from, plain, columns); });
      std::fill(plain + columns, plain + padded, 0.0f);
      Panel::order(plain, ordered, padded);
      for (int64_t b = 0; b < depth_blocks_; ++b) {
        int64_t count = std::min(kDepth, padded - b * kDepth);
        std::copy(
            ordered + b * kDepth,
            ordered + b * kDepth + count,
            tile(row, b) + r * kDepth);
      }
    }
  }

  void multiply(const GemmPieces::Piece& p) {
    static thread_local Scratch scratch;
    float* panels = scratch.floats(pieces_.width() * kDepth);
    Panel panel{args_.w};
    for (int64_t b = 0; b < depth_blocks_; ++b) {
      int64_t k = b * kDepth;
      int64_t count = std::min(kDepth, args_.w.columns - k);
      int64_t depth = round_up(count, Panel::kChunk);
      for (int64_t n = 0; n < p.columns; n += kTileColumns) {
        unpack_panel(panel, p.column + n, k, count, depth, panels + n * kDepth);
      }
      for (int64_t m0 = 0; m0 < p.rows; m0 += kGemmBlockRows) {
        int64_t m1 = std::min(p.rows, m0 + kGemmBlockRows);
        for (int64_t n = 0; n < p.columns; n += kTileColumns) {
          for (int64_t m = m0; m < m1; m += kTileRows) {
            tile_of(std::min<int64_t>(kTileRows, m1 - m))(
                tile(p.row + m, b),
                kDepth,
                panels + n * kDepth,
                depth,
                p.sums + m * p.stride + n,
                p.stride,
                std::min(kTileColumns, p.columns - n),
                b == 0);
          }
        }
      }
    }
    kernels::finish_block(
        args_, p.sums, p.stride, p.row, p.rows, p.column, p.columns);
  }

  const GemmArgs& args_;
  GemmPieces pieces_;
  int64_t depth_blocks_;
  int64_t x_stride_;
  float* x_ = nullptr;
};

} // namespace

void gemm(const GemmArgs& args) {
  switch (args.w.bits) {
    case 2:
      return Gemm<AffinePanel<2>>(args).run();
    case 3:
      return Gemm<AffinePanel<3>>(args).run();
    case 4:
      return Gemm<AffinePanel<4>>(args).run();
    case 5:
      return Gemm<AffinePanel<5>>(args).run();
    case 6:
      return Gemm<AffinePanel<6>>(args).run();
    case 8:
      return Gemm<AffinePanel<8>>(args).run();
    default:
      break;
  }
  switch (args.w.type) {
    case FloatType::bf16:
      return Gemm<FloatPanel<hwy::bfloat16_t>>(args).run();
    case FloatType::f16:
      return Gemm<FloatPanel<hwy::float16_t>>(args).run();
    default:
      return Gemm<FloatPanel<float>>(args).run();
  }
}

void finish_block(
    const GemmArgs& args,
    const float* sums,
    int64_t stride,
    int64_t row,
    int64_t rows,
    int64_t column,
    int64_t columns) {
  const auto* bias = static_cast<const float*>(args.bias);
  for (int64_t m = 0; m < rows; ++m) {
    with_type(
        args.x_type,
        args.y,
        (row + m) * args.w.rows + column,
        [&](auto* y) HWY_ATTR {
          finish_row(
              sums + m * stride,
              bias != nullptr ? bias + column : nullptr,
              args.activation,
              y,
              columns);
        });
  }
}

void to_f32(FloatType type, const void* from, float* to, int64_t count) {
  with_type(type, from, 0, [&](const auto* p) HWY_ATTR {
    convert_to_f32(p, to, count);
  });
}

void finish_rows(
    float* y,
    int64_t stride,
    int64_t rows,
    int64_t count,
    const float* bias,
    Activation activation) {
  parallel_for(rows, 8, [&](int64_t row) HWY_ATTR {
    float* at = y + row * stride;
    finish_row(at, bias, activation, at, count);
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <oneapi/dnnl/dnnl.h>

namespace mlx_audio::kernels {

HWY_EXPORT(gemm);
HWY_EXPORT(finish_block);
HWY_EXPORT(finish_rows);
HWY_EXPORT(to_f32);

double WeightMatrix::bytes() const {
  auto count = static_cast<double>(rows) * static_cast<double>(columns);
  double width = type == FloatType::f32 ? 4 : 2;
  return bits == 0 ? count * width
                   : count * bits / 8 + 2 * width * count / group;
}

void gemm(const GemmArgs& args) {
  HWY_DYNAMIC_DISPATCH(gemm)(args);
}

void to_f32(FloatType type, const void* from, float* to, int64_t count) {
  HWY_DYNAMIC_DISPATCH(to_f32)(type, from, to, count);
}

void finish_rows(
    float* y,
    int64_t stride,
    int64_t rows,
    int64_t count,
    const float* bias,
    Activation activation) {
  HWY_DYNAMIC_DISPATCH(finish_rows)(y, stride, rows, count, bias, activation);
}

void finish_block(
    const GemmArgs& args,
    const float* sums,
    int64_t stride,
    int64_t row,
    int64_t rows,
    int64_t column,
    int64_t columns) {
  bool done = args.bias == nullptr && args.activation == Activation::none;
  if (done && args.x_type == FloatType::f32 &&
      sums == static_cast<float*>(args.y) + row * args.w.rows + column) {
    return;
  }
  HWY_DYNAMIC_DISPATCH(finish_block)
  (args, sums, stride, row, rows, column, columns);
}

void gemm_onednn(const GemmArgs& args) {
  dnnl_sgemm(
      'N',
      'T',
      args.m,
      args.w.rows,
      args.w.columns,
      1.0f,
      static_cast<const float*>(args.x),
      args.w.columns,
      static_cast<const float*>(args.w.data),
      args.w.columns,
      0.0f,
      static_cast<float*>(args.y),
      args.w.rows);
  if (args.bias != nullptr || args.activation != Activation::none) {
    finish_rows(
        static_cast<float*>(args.y),
        args.w.rows,
        args.m,
        args.w.rows,
        static_cast<const float*>(args.bias),
        args.activation);
  }
}

void linear_product(const GemmArgs& original) {
  GemmArgs args = original;
  if (args.bias != nullptr && args.bias_type != FloatType::f32) {
    static thread_local Scratch scratch;
    float* bias = scratch.floats(args.w.rows);
    to_f32(args.bias_type, args.bias, bias, args.w.rows);
    args.bias = bias;
    args.bias_type = FloatType::f32;
  }
  // Few rows are bound by reading the weights once.
  if (args.m <= 8) {
    return gemv(args);
  }
  bool all_f32 = args.w.bits == 0 && args.w.type == FloatType::f32 &&
      args.x_type == FloatType::f32;
  if (all_f32 && args.m >= 64) {
    return gemm_onednn(args);
  }
  if (bf16_amx_runs(args)) {
    return bf16_amx(args);
  }
  if (affine_amx_runs(args)) {
    return affine_amx(args);
  }
  if (affine_gemm_runs(args.w)) {
    return affine_gemm(args);
  }
  gemm(args);
}

} // namespace mlx_audio::kernels
#endif
