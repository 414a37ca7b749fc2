// Products with few rows of x. The weights are read once, in the form they are
// stored in; x is put into the order in which they come out of the registers.
#include "kernels/gemv.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "kernels/affine_vnni.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"
#include "kernels/team.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemv.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/affine-inl.h"
#include "kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

namespace {

constexpr int64_t kBatch = 4; // rows of x at once
constexpr int64_t kPad = HWY_MAX_BYTES; // floats or bytes after any row

/// x in f32, ordered for the weights, with the sums over each group.
struct Prepared {
  const float* x; // [m, x_stride]
  int64_t x_stride;
  const float* sums; // [m, sums_stride]
  int64_t sums_stride;
};

// --- float weights ---

template <class T, int kM, int kR>
void dot_float(
    const T* w,
    int64_t columns,
    const Prepared& p,
    int64_t first,
    float* out,
    int64_t stride) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t lanes = hn::MaxLanes(d);
  // Enough sums to hide the latency of a fused product.
  constexpr int unroll = kM * kR >= 8 ? 1 : (kM * kR >= 4 ? 2 : 4);
  const float* x = p.x + first * p.x_stride;
  V sums[unroll][kR][kM];
  for (auto& a : sums) {
    for (auto& b : a) {
      for (auto& c : b) {
        c = hn::Zero(d);
      }
    }
  }
  int64_t k = 0;
  for (; k + unroll * lanes <= columns; k += unroll * lanes) {
    for (int u = 0; u < unroll; ++u) {
      for (int r = 0; r < kR; ++r) {
        const V v = load_f32(d, w + r * columns + k + u * lanes);
        for (int m = 0; m < kM; ++m) {
          sums[u][r][m] = hn::MulAdd(
              v,
              hn::LoadU(d, x + m * p.x_stride + k + u * lanes),
              sums[u][r][m]);
        }
      }
    }
  }
  for (; k < columns; k += lanes) {
    T tail[lanes] = {};
    for (int r = 0; r < kR; ++r) {
      std::memcpy(
          tail, w + r * columns + k, std::min(lanes, columns - k) * sizeof(T));
      const V v = load_f32(d, tail);
      for (int m = 0; m < kM; ++m) {
        sums[0][r][m] =
            hn::MulAdd(v, hn::LoadU(d, x + m * p.x_stride + k), sums[0][r][m]);
      }
    }
  }
  for (int r = 0; r < kR; ++r) {
    for (int m = 0; m < kM; ++m) {
      V sum = sums[0][r][m];
      for (int u = 1; u < unroll; ++u) {
        sum = hn::Add(sum, sums[u][r][m]);
      }
      out[m * stride + r] = hn::GetLane(hn::SumOfLanes(d, sum));
    }
  }
}

template <class T>
struct FloatRows {
  static constexpr int64_t kChunk = 1;

  const WeightMatrix& w;

  static void order(const WeightMatrix&, float*, int64_t) {}

  template <int kM>
  void dot(
      int64_t row,
      int64_t count,
      const Prepared& p,
      int64_t first,
      float* out,
      int64_t stride) const {
    const T* data = static_cast<const T*>(w.data) + row * w.columns;
    int64_t r = 0;
    for (; r + 2 <= count; r += 2) {
      dot_float<T, kM, 2>(
          data + r * w.columns, w.columns, p, first, out + r, stride);
    }
    if (r < count) {
      dot_float<T, kM, 1>(
          data + r * w.columns, w.columns, p, first, out + r, stride);
    }
  }
};

// --- affine weights ---

template <int kBits>
struct AffineRows {
  using A = Affine<kBits>;
  static constexpr int64_t kChunk = A::chunk();

  const WeightMatrix& w;
  LaneFactors<kBits> factors{w.group};

  // Brings x into lane order, divided by what masked values are multiplied by.
  static void order(const WeightMatrix& /* w */, float* x, int64_t count) {
    static thread_local Scratch scratch;
    float* copy = scratch.floats(count);
    std::copy(x, x + count, copy);
    to_lane_order<kBits>(copy, x, count);
#if HWY_TARGET != HWY_SCALAR
    const hn::ScalableTag<float> d;
    for (int64_t i = 0; i < count; i += kChunk) {
      for (int j = 0; j < A::kPerLane; ++j) {
        float* p = x + i + j * hn::MaxLanes(d);
        const auto weights = hn::LoadDup128(d, A::kTables.weights[j].data());
        hn::StoreU(hn::Mul(hn::LoadU(d, p), weights), d, p);
      }
    }
#endif
  }

  template <int kM>
  void dot_row(
      const uint8_t* row,
      const float* scales,
      const float* biases,
      const Prepared& p,
      int64_t first,
      float* out,
      int64_t stride) const {
    const hn::ScalableTag<float> d;
    using V = hn::Vec<decltype(d)>;
    constexpr int64_t lanes = hn::MaxLanes(d);
    const float* x = p.x + first * p.x_stride;
    const float* sums = p.sums + first * p.sums_stride;
    V total[kM];
    for (auto& t : total) {
      t = hn::Zero(d);
    }
    int64_t chunks = (w.columns + kChunk - 1) / kChunk;
    for (int64_t c = 0; c < chunks; ++c) {
      V part[kM];
#if HWY_TARGET == HWY_SCALAR
      const V v = hn::Set(d, static_cast<float>(value_at<kBits>(row, c)));
      for (int m = 0; m < kM; ++m) {
        part[m] = hn::Mul(v, hn::LoadU(d, x + m * p.x_stride + c));
      }
#else
      const hn::RebindToUnsigned<decltype(d)> du;
      const auto windows = load_windows<kBits>(du, row + c * A::chunk_bytes());
      for (auto& v : part) {
        v = hn::Zero(d);
      }
      unrolled<A::kPerLane>([&](auto j) HWY_ATTR {
        const V v = masked_value<kBits, j>(d, windows);
        for (int m = 0; m < kM; ++m) {
          part[m] = hn::MulAdd(
              v,
              hn::LoadU(d, x + m * p.x_stride + c * kChunk + j * lanes),
              part[m]);
        }
      });
#endif
      const V scale = factors.load(d, scales, c);
      for (int m = 0; m < kM; ++m) {
        total[m] = hn::MulAdd(scale, part[m], total[m]);
      }
    }
    int64_t groups = w.columns / w.group;
    for (int64_t g = 0; g < groups; g += lanes) {
      const V bias = hn::LoadU(d, biases + g);
      for (int m = 0; m < kM; ++m) {
        total[m] = hn::MulAdd(
            bias, hn::LoadU(d, sums + m * p.sums_stride + g), total[m]);
      }
    }
    for (int m = 0; m < kM; ++m) {
      out[m * stride] = hn::GetLane(hn::SumOfLanes(d, total[m]));
    }
  }

  template <int kM>
  void dot(
      int64_t row,
      int64_t count,
      const Prepared& p,
      int64_t first,
      float* out,
      int64_t stride) const {
    static thread_local Scratch scratch;
    int64_t groups = w.columns / w.group;
    int64_t row_bytes = w.columns * kBits / 8;
    int64_t padded = groups + kPad;
    float* scales = scratch.floats(2 * padded + row_bytes / 4 + kPad);
    float* biases = scales + padded;
    auto* copy = reinterpret_cast<uint8_t*>(biases + padded);
    std::fill(scales + groups, scales + padded, 0.0f);
    std::fill(biases + groups, biases + padded, 0.0f);
    const auto* data = static_cast<const uint8_t*>(w.data);
    for (int64_t r = 0; r < count; ++r) {
      int64_t n = row + r;
      with_type(w.type, w.scales, n * groups, [&](const auto* s) HWY_ATTR {
        convert_to_f32(s, scales, groups);
      });
      with_type(w.type, w.biases, n * groups, [&](const auto* b) HWY_ATTR {
        convert_to_f32(b, biases, groups);
      });
      const uint8_t* bytes = data + n * row_bytes;
      // Vectors reach beyond a row, which the last rows have no memory for.
      if ((w.rows - n - 1) * row_bytes < 2 * kPad) {
        std::memcpy(copy, bytes, row_bytes);
        std::memset(copy + row_bytes, 0, 2 * kPad);
        bytes = copy;
      }
      dot_row<kM>(bytes, scales, biases, p, first, out + r, stride);
    }
  }
};

// Where x's parts lie in prepared memory.
template <class Rows>
struct Parts {
  explicit Parts(const WeightMatrix& w)
      : padded(round_up(w.columns, Rows::kChunk) + kPad),
        groups(w.group != 0 ? w.columns / w.group : 0),
        padded_groups(groups + kPad) {}

  int64_t floats(int64_t m) const {
    return m * (padded + padded_groups);
  }
  Prepared at(const float* memory, int64_t m) const {
    return {memory, padded, memory + m * padded, padded_groups};
  }

  int64_t padded;
  int64_t groups;
  int64_t padded_groups;
};

template <class Rows>
void prepare(
    const WeightMatrix& w,
    FloatType type,
    const void* x,
    int64_t m,
    float* memory) {
  const Parts<Rows> parts(w);
  for (int64_t i = 0; i < m; ++i) {
    float* row = memory + i * parts.padded;
    with_type(type, x, i * w.columns, [&](const auto* from) HWY_ATTR {
      convert_to_f32(from, row, w.columns);
    });
    std::fill(row + w.columns, row + parts.padded, 0.0f);
    float* sum = memory + m * parts.padded + i * parts.padded_groups;
    std::fill(sum, sum + parts.padded_groups, 0.0f);
    for (int64_t g = 0; g < parts.groups; ++g) {
      sum[g] =
          std::accumulate(row + g * w.group, row + (g + 1) * w.group, 0.0f);
    }
    Rows::order(w, row, parts.padded - kPad);
  }
}

template <class Rows>
void some_rows(
    const WeightMatrix& w,
    const float* memory,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t stride) {
  const Prepared p = Parts<Rows>(w).at(memory, m);
  const Rows rows{w};
  for (int64_t i = 0; i < m; i += kBatch, y += kBatch * stride) {
    switch (std::min(kBatch, m - i)) {
      case 1:
        rows.template dot<1>(row, count, p, i, y, stride);
        break;
      case 2:
        rows.template dot<2>(row, count, p, i, y, stride);
        break;
      case 3:
        rows.template dot<3>(row, count, p, i, y, stride);
        break;
      default:
        rows.template dot<4>(row, count, p, i, y, stride);
    }
  }
}

// Calls function(Rows*) with the kind of rows that w has.
template <class Function>
auto with_rows(const WeightMatrix& w, Function function) {
  switch (w.bits) {
    case 2:
      return function(static_cast<AffineRows<2>*>(nullptr));
    case 3:
      return function(static_cast<AffineRows<3>*>(nullptr));
    case 4:
      return function(static_cast<AffineRows<4>*>(nullptr));
    case 5:
      return function(static_cast<AffineRows<5>*>(nullptr));
    case 6:
      return function(static_cast<AffineRows<6>*>(nullptr));
    case 8:
      return function(static_cast<AffineRows<8>*>(nullptr));
    default:
      break;
  }
  switch (w.type) {
    case FloatType::bf16:
      return function(static_cast<FloatRows<hwy::bfloat16_t>*>(nullptr));
    case FloatType::f16:
      return function(static_cast<FloatRows<hwy::float16_t>*>(nullptr));
    default:
      return function(static_cast<FloatRows<float>*>(nullptr));
  }
}

} // namespace

int64_t floats_of(const WeightMatrix& w, int64_t m) {
  return with_rows(w, [&](auto* rows) HWY_ATTR {
    return Parts<std::remove_pointer_t<decltype(rows)>>(w).floats(m);
  });
}

void prepare_rows(
    const WeightMatrix& w,
    FloatType type,
    const void* x,
    int64_t m,
    float* memory) {
  with_rows(w, [&](auto* rows) HWY_ATTR {
    prepare<std::remove_pointer_t<decltype(rows)>>(w, type, x, m, memory);
  });
}

void dot_rows(
    const WeightMatrix& w,
    const float* memory,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t stride) {
  with_rows(w, [&](auto* rows) HWY_ATTR {
    some_rows<std::remove_pointer_t<decltype(rows)>>(
        w, memory, m, row, count, y, stride);
  });
}

template <int kBits>
void unpack_affine(const WeightMatrix& w, int64_t row, float* y) {
  const int64_t groups = w.columns / w.group;
  const uint8_t* bytes =
      static_cast<const uint8_t*>(w.data) + row * w.columns * kBits / 8;
  for (int64_t g = 0; g < groups; ++g) {
    float scale;
    float bias;
    with_type(w.type, w.scales, row * groups + g, [&](const auto* s) HWY_ATTR {
      convert_to_f32(s, &scale, 1);
    });
    with_type(w.type, w.biases, row * groups + g, [&](const auto* b) HWY_ATTR {
      convert_to_f32(b, &bias, 1);
    });
    for (int64_t i = g * w.group; i < (g + 1) * w.group; ++i) {
      y[i] = scale * static_cast<float>(value_at<kBits>(bytes, i)) + bias;
    }
  }
}

void one_row(const WeightMatrix& w, int64_t row, float* y) {
  switch (w.bits) {
    case 2:
      return unpack_affine<2>(w, row, y);
    case 3:
      return unpack_affine<3>(w, row, y);
    case 4:
      return unpack_affine<4>(w, row, y);
    case 5:
      return unpack_affine<5>(w, row, y);
    case 6:
      return unpack_affine<6>(w, row, y);
    case 8:
      return unpack_affine<8>(w, row, y);
    default:
      with_type(w.type, w.data, row * w.columns, [&](const auto* p) HWY_ATTR {
        convert_to_f32(p, y, w.columns);
      });
  }
}

void convert_rows(FloatType type, const void* x, int64_t count, float* to) {
  with_type(type, x, 0, [&](const auto* from) HWY_ATTR {
    convert_to_f32(from, to, count);
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(floats_of);
HWY_EXPORT(prepare_rows);
HWY_EXPORT(dot_rows);
HWY_EXPORT(convert_rows);
HWY_EXPORT(one_row);

namespace {

bool by_vnni(const WeightMatrix& w) {
  return w.bits != 0 && affine_vnni_runs();
}

} // namespace

int64_t gemv_floats(const WeightMatrix& w, int64_t m) {
  return by_vnni(w) ? affine_vnni_floats(w, m)
                    : HWY_DYNAMIC_DISPATCH(floats_of)(w, m);
}

void gemv_prepare(
    const WeightMatrix& w,
    FloatType type,
    const void* x,
    int64_t m,
    float* prepared) {
  if (!by_vnni(w)) {
    HWY_DYNAMIC_DISPATCH(prepare_rows)(w, type, x, m, prepared);
    return;
  }
  const auto* floats = static_cast<const float*>(x);
  if (type != FloatType::f32) {
    static thread_local Scratch scratch;
    float* copy = scratch.floats(m * w.columns);
    HWY_DYNAMIC_DISPATCH(convert_rows)(type, x, m * w.columns, copy);
    floats = copy;
  }
  affine_vnni_split(w, floats, m, prepared);
}

bool gemv_shares(const WeightMatrix& a, const WeightMatrix& b) {
  bool float_type = a.bits != 0 || a.type == b.type;
  return a.bits == b.bits && a.group == b.group && a.columns == b.columns &&
      float_type;
}

void gemv_rows(
    const WeightMatrix& w,
    const float* prepared,
    int64_t m,
    int64_t row,
    int64_t count,
    float* y,
    int64_t y_stride) {
  if (by_vnni(w)) {
    affine_vnni_rows(w, prepared, m, row, count, y, y_stride);
  } else {
    HWY_DYNAMIC_DISPATCH(dot_rows)(w, prepared, m, row, count, y, y_stride);
  }
}

void unpack_row(const WeightMatrix& w, int64_t row, float* y) {
  HWY_DYNAMIC_DISPATCH(one_row)(w, row, y);
}

void gemv(const GemmArgs& args) {
  const WeightMatrix& w = args.w;
  static thread_local Scratch scratch;
  float* prepared = scratch.floats(gemv_floats(w, args.m));
  gemv_prepare(w, args.x_type, args.x, args.m, prepared);
  constexpr int64_t most = 64; // rows of W in a block
  int64_t blocks = (w.rows + most - 1) / most;
  auto block_of = [&](int64_t block) {
    static thread_local Scratch sums_scratch;
    float* sums = sums_scratch.floats(args.m * most);
    int64_t row = block * most;
    int64_t count = std::min(most, w.rows - row);
    gemv_rows(w, prepared, args.m, row, count, sums, most);
    finish_block(args, sums, most, 0, args.m, row, count);
  };
  // What a thread takes should outlast waking it.
  if (w.bytes() < 131072) {
    for (int64_t block = 0; block < blocks; ++block) {
      block_of(block);
    }
    return;
  }
  run_team(
      [&](Team& team, int thread) { team.loop(thread, blocks, block_of); });
}

} // namespace mlx_audio::kernels
#endif
