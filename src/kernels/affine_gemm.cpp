// Blocked as kernels/gemm.cpp is: panels of 32 rows of W are spread to bytes in
// the cache, tiles of 6 rows of x by a panel stay in registers.
#include "kernels/affine_gemm.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/gemm_pieces.h"
#include "kernels/parallel.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#include <hwy/detect_targets.h>

#if HWY_ARCH_X86_64
#include "kernels/affine_vnni-inl.h"

namespace mlx_audio::kernels {

namespace {

using namespace vnni;

constexpr int64_t kTile = 6; // rows of x
constexpr int64_t kDepth = 512; // columns of W at once: a panel fits in L1
constexpr int64_t kGroups = kDepth / 32; // most groups in a block

// kTile rows and kDepth columns of x.
template <int kLimbs>
struct TileOfX {
  int8_t limbs[kLimbs][kTile][kDepth];
  float scales[kGroups][kTile];
  float sums[kGroups][kTile];
};

// kPanel rows and kDepth columns of W.
struct Panel {
  uint8_t values[kDepth / 4][kPanel][4];
  float scales[kGroups][kPanel];
  float biases[kGroups][kPanel];

  VNNI void put(int64_t c, int64_t half, __m512i v) {
    _mm512_store_si512(&values[c][half], v);
  }
};

// Whether sums of all limbs over a group fit in 31 bits at once; else the
// highest limb's are taken alone.
template <int kBits, int kLimbs>
bool sums_fit(int64_t group) {
  constexpr int64_t value = (1 << kBits) - 1;
  constexpr int64_t limit = int64_t{128} << (kLow<kLimbs> * (kLimbs - 1));
  return value * limit * group <= INT32_MAX;
}

// y [kM, columns] (+)= x W^T over a panel; y += if not `first`.
template <int kLimbs, bool kFit, int kM>
VNNI void multiply_tile(
    const TileOfX<kLimbs>& x,
    const Panel& w,
    int64_t groups,
    int64_t group,
    float* y,
    int64_t y_stride,
    int64_t columns,
    bool first) {
  const auto mask = static_cast<uint32_t>((1ULL << columns) - 1);
  const __mmask16 masks[2] = {
      static_cast<__mmask16>(mask), static_cast<__mmask16>(mask >> 16)};
  __m512 total[kM][2];
  for (int m = 0; m < kM; ++m) {
    for (int n = 0; n < 2; ++n) {
      total[m][n] = first
          ? _mm512_setzero_ps()
          : _mm512_maskz_loadu_ps(masks[n], y + m * y_stride + 16 * n);
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    __m512i sums[kM][2];
    for (auto& pair : sums) {
      pair[0] = pair[1] = _mm512_setzero_si512();
    }
    const __m512 scales[2] = {
        _mm512_load_ps(w.scales[g]), _mm512_load_ps(w.scales[g] + 16)};
    // Sums times `unit` go to the totals.
    auto add = [&](float unit) VNNI __attribute__((always_inline)) {
      for (int m = 0; m < kM; ++m) {
        const __m512 scale = _mm512_set1_ps(x.scales[g][m] * unit);
        for (int n = 0; n < 2; ++n) {
          total[m][n] = _mm512_fmadd_ps(
              _mm512_mul_ps(_mm512_cvtepi32_ps(sums[m][n]), scale),
              scales[n],
              total[m][n]);
        }
      }
    };
    for (int limb = 0; limb < kLimbs; ++limb) {
      if (limb == 1 && !kFit) {
        add(1 << (kLow<kLimbs> * (kLimbs - 1)));
        for (auto& pair : sums) {
          pair[0] = pair[1] = _mm512_setzero_si512();
        }
      } else if (limb > 0) {
        for (auto& pair : sums) {
          pair[0] = _mm512_slli_epi32(pair[0], kLow<kLimbs>);
          pair[1] = _mm512_slli_epi32(pair[1], kLow<kLimbs>);
        }
      }
      const int8_t* from = &x.limbs[limb][0][g * group];
      const uint8_t* weights = &w.values[g * group / 4][0][0];
      for (int64_t k = 0; k < group; k += 4, weights += 4 * kPanel) {
        const __m512i w0 = _mm512_load_si512(weights);
        const __m512i w1 = _mm512_load_si512(weights + 64);
        for (int m = 0; m < kM; ++m) {
          int32_t four;
          std::memcpy(&four, from + m * kDepth + k, 4);
          const __m512i part = _mm512_set1_epi32(four);
          dot_bytes(sums[m][0], w0, part);
          dot_bytes(sums[m][1], w1, part);
        }
      }
    }
    add(1);
    const __m512 biases[2] = {
        _mm512_load_ps(w.biases[g]), _mm512_load_ps(w.biases[g] + 16)};
    for (int m = 0; m < kM; ++m) {
      const __m512 sum = _mm512_set1_ps(x.sums[g][m]);
      total[m][0] = _mm512_fmadd_ps(biases[0], sum, total[m][0]);
      total[m][1] = _mm512_fmadd_ps(biases[1], sum, total[m][1]);
    }
  }
  for (int m = 0; m < kM; ++m) {
    for (int n = 0; n < 2; ++n) {
      _mm512_mask_storeu_ps(y + m * y_stride + 16 * n, masks[n], total[m][n]);
    }
  }
}

template <int kLimbs, bool kFit>
void multiply(
    int64_t rows,
    const TileOfX<kLimbs>& x,
    const Panel& w,
    int64_t groups,
    int64_t group,
    float* y,
    int64_t y_stride,
    int64_t columns,
    bool first) {
  auto with = [&](auto m) {
    multiply_tile<kLimbs, kFit, decltype(m)::value>(
        x, w, groups, group, y, y_stride, columns, first);
  };
  switch (rows) {
    case 1:
      return with(std::integral_constant<int, 1>());
    case 2:
      return with(std::integral_constant<int, 2>());
    case 3:
      return with(std::integral_constant<int, 3>());
    case 4:
      return with(std::integral_constant<int, 4>());
    case 5:
      return with(std::integral_constant<int, 5>());
    default:
      return with(std::integral_constant<int, 6>());
  }
}

template <int kBits, int kLimbs>
class AffineGemm {
 public:
  explicit AffineGemm(const GemmArgs& args)
      : args_(args),
        pieces_(args, kTile, kPanel),
        blocks_((args.w.columns + kDepth - 1) / kDepth) {}

  void run() {
    static thread_local Scratch scratch;
    int64_t tiles = (args_.m + kTile - 1) / kTile;
    constexpr int64_t tile_floats = sizeof(TileOfX<kLimbs>) / sizeof(float);
    static_assert(sizeof(TileOfX<kLimbs>) % sizeof(float) == 0);
    x_ = reinterpret_cast<TileOfX<kLimbs>*>(
        scratch.floats(tiles * blocks_ * tile_floats));
    parallel_for(
        tiles, pieces_.small() ? tiles : 8, [this](int64_t i) { split(i); });
    pieces_.each([this](const GemmPieces::Piece& p) { multiply_piece(p); });
  }

 private:
  void split(int64_t tile) {
    static thread_local Scratch scratch;
    int64_t columns = args_.w.columns;
    int64_t group = args_.w.group;
    float* row = scratch.floats(columns + 32);
    int64_t first = tile * kTile;
    for (int64_t r = 0; r < std::min(kTile, args_.m - first); ++r) {
      int64_t width = args_.x_type == FloatType::f32 ? 4 : 2;
      to_f32(
          args_.x_type,
          static_cast<const uint8_t*>(args_.x) + (first + r) * columns * width,
          row,
          columns);
      for (int64_t k = 0; k < columns; k += group) {
        TileOfX<kLimbs>& to = x_[tile * blocks_ + k / kDepth];
        int64_t at = k % kDepth;
        split_group<kLimbs>(
            row + k,
            group,
            &to.limbs[0][r][at],
            kTile * kDepth,
            to.scales[at / group][r],
            to.sums[at / group][r]);
      }
    }
  }

  void multiply_piece(const GemmPieces::Piece& p) {
    static thread_local Scratch scratch;
    static_assert(sizeof(Panel) % 64 == 0);
    auto* panels = reinterpret_cast<Panel*>(scratch.floats(
        pieces_.width() / kPanel *
        static_cast<int64_t>(sizeof(Panel) / sizeof(float))));
    int64_t group = args_.w.group;
    auto* tile = sums_fit<kBits, kLimbs>(group) ? multiply<kLimbs, true>
                                                : multiply<kLimbs, false>;
    for (int64_t b = 0; b < blocks_; ++b) {
      int64_t k = b * kDepth;
      int64_t count = std::min(kDepth, args_.w.columns - k);
      for (int64_t n = 0; n < p.columns; n += kPanel) {
        unpack_panel<kBits>(
            args_.w, p.column + n, k, count, panels[n / kPanel]);
      }
      for (int64_t m0 = 0; m0 < p.rows; m0 += kGemmBlockRows) {
        int64_t m1 = std::min(p.rows, m0 + kGemmBlockRows);
        for (int64_t n = 0; n < p.columns; n += kPanel) {
          for (int64_t m = m0; m < m1; m += kTile) {
            tile(
                std::min(kTile, m1 - m),
                x_[(p.row + m) / kTile * blocks_ + b],
                panels[n / kPanel],
                count / group,
                group,
                p.sums + m * p.stride + n,
                p.stride,
                std::min(kPanel, p.columns - n),
                b == 0);
          }
        }
      }
    }
    finish_block(args_, p.sums, p.stride, p.row, p.rows, p.column, p.columns);
  }

  const GemmArgs& args_;
  GemmPieces pieces_;
  int64_t blocks_;
  TileOfX<kLimbs>* x_ = nullptr; // [tiles of rows, blocks_]
};

template <int kBits>
void run(const GemmArgs& args) {
  if (args.x_type == FloatType::f32 && !args.coarse_x) {
    AffineGemm<kBits, 3>(args).run();
  } else {
    AffineGemm<kBits, 2>(args).run();
  }
}

} // namespace

bool affine_gemm_runs(const WeightMatrix& w) {
  return w.bits != 0 && runs_vnni();
}

void affine_gemm(const GemmArgs& args) {
  switch (args.w.bits) {
    case 2:
      return run<2>(args);
    case 3:
      return run<3>(args);
    case 4:
      return run<4>(args);
    case 5:
      return run<5>(args);
    case 6:
      return run<6>(args);
    default:
      return run<8>(args);
  }
}

} // namespace mlx_audio::kernels

#else // not x86

namespace mlx_audio::kernels {

bool affine_gemm_runs(const WeightMatrix& /* w */) {
  return false;
}

void affine_gemm(const GemmArgs& /* args */) {}

} // namespace mlx_audio::kernels

#endif
