// Blocked as kernels/gemm.cpp is: panels of 32 rows of W are spread to pairs of
// bf16 in the cache, and blocks of 32 rows of x multiplied by them, group by
// group, in four tiles of sums. While tiles are busy with one block's group,
// vectors scale the sums of the one before.
#include "kernels/affine_amx.h"

#include <algorithm>

#include "kernels/gemm_pieces.h"
#include "kernels/parallel.h"
#include "kernels/round_up.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "kernels/affine_vnni-inl.h"
#include "kernels/amx-inl.h"

#define AFFINE_AMX                                                \
  __attribute__((target(                                          \
      "amx-tile,amx-bf16,amx-int8,"                               \
      "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni," \
      "avx2,fma,f16c")))
#define AFFINE_AMX_INLINE \
  AFFINE_AMX __attribute__((always_inline)) static inline

namespace mlx_audio::kernels {

namespace {

using namespace vnni;
using amx::kTile;

// For fewer rows of x, spreading W to pairs takes longer than it saves.
constexpr int64_t kFewestRows = 24;

constexpr int64_t kBlock = 2 * kTile; // rows of x
static_assert(kBlock == kPanel);
constexpr int64_t kStep = 2 * kTile; // columns of a tile of pairs
constexpr int64_t kDepth = 1024; // columns of W at once
constexpr int64_t kGroups = kDepth / 32; // most groups in them
constexpr int64_t kWidth = 256; // rows of W in a piece: their panels stay in L2
constexpr int64_t kPanels = 4; // whose totals for a block stay in L1

// kBlock rows and kDepth columns of x.
template <int kPieces>
struct BlockOfX {
  uint16_t pieces[kDepth / kStep][kPieces][kBlock][kStep];
  float sums[kGroups][kBlock];
};

// Whole numbers of 8 bits as pairs: they have zeros where f32 goes beyond bf16.
VNNI_INLINE __m512i pair_of(__m512i first, __m512i second) {
  return _mm512_or_si512(
      _mm512_srli_epi32(_mm512_castps_si512(_mm512_cvtepi32_ps(first)), 16),
      _mm512_castps_si512(_mm512_cvtepi32_ps(second)));
}

// kPanel rows and kDepth columns of W.
struct Panel {
  uint32_t pairs[kDepth / 2][kPanel];
  float scales[kGroups][kPanel];
  float biases[kGroups][kPanel];

  VNNI void put(int64_t c, int64_t half, __m512i v) {
    const __m512i byte = _mm512_set1_epi32(255);
    _mm512_store_si512(
        &pairs[2 * c][half],
        pair_of(
            _mm512_and_si512(v, byte),
            _mm512_and_si512(_mm512_srli_epi32(v, 8), byte)));
    _mm512_store_si512(
        &pairs[2 * c + 1][half],
        pair_of(
            _mm512_and_si512(_mm512_srli_epi32(v, 16), byte),
            _mm512_srli_epi32(v, 24)));
  }
};

// Sums of a block over a group, and what they still are to be scaled by and
// added to.
struct Pending {
  const float* sums; // [kBlock, kPanel]
  float* totals; // the same
  const float* scales; // of W
  const float* biases;
  const float* x_sums;
};

// Rows [begin, end).
VNNI_INLINE void scale_rows(const Pending& p, int64_t begin, int64_t end) {
  const __m512 scales[2] = {
      _mm512_load_ps(p.scales), _mm512_load_ps(p.scales + 16)};
  const __m512 biases[2] = {
      _mm512_load_ps(p.biases), _mm512_load_ps(p.biases + 16)};
#pragma GCC unroll 32
  for (int64_t r = begin; r < end; ++r) {
    const __m512 x_sum = _mm512_set1_ps(p.x_sums[r]);
#pragma GCC unroll 2
    for (int n = 0; n < 2; ++n) {
      const int64_t at = r * kPanel + 16 * n;
      const __m512 total = _mm512_fmadd_ps(
          _mm512_load_ps(p.sums + at),
          scales[n],
          _mm512_load_ps(p.totals + at));
      _mm512_store_ps(p.totals + at, _mm512_fmadd_ps(biases[n], x_sum, total));
    }
  }
}

// Stores a tile of sums and starts it anew. (A macro: the tile's number becomes
// text.)
#define RESTART(tile, sums)                                        \
  do {                                                             \
    _tile_stored(                                                  \
        tile,                                                      \
        (sums) + (tile) / 2 * kTile * kPanel + (tile) % 2 * kTile, \
        kPanel * sizeof(float));                                   \
    _tile_zero(tile);                                              \
  } while (false)

// Sums of a block, the second tile of which may be missing, over the kSteps
// steps of a group. Tiles' former sums go to `sums` one by one as they start
// anew, and in the meantime `before` is scaled.
template <int kPieces, int kSteps, bool two>
AFFINE_AMX_INLINE void add_group(
    const uint16_t (*x)[kPieces][kBlock][kStep],
    const uint32_t (*w)[kPanel],
    const Pending& before,
    float* sums) {
  constexpr int64_t x_bytes = sizeof(x[0][0][0]);
  constexpr int64_t w_bytes = sizeof(w[0]);
  constexpr int64_t rows = two ? kBlock : kTile;
  constexpr int64_t parts = kSteps * kPieces;
#pragma GCC unroll 4
  for (int64_t step = 0; step < kSteps; ++step) {
    _tile_loadd(6, w[step * kTile], w_bytes);
    _tile_loadd(7, w[step * kTile] + kTile, w_bytes);
#pragma GCC unroll 3
    for (int64_t i = 0; i < kPieces; ++i) {
      const int64_t part = step * kPieces + i;
      _tile_loadd(4, x[step][i][0], x_bytes);
      if (part == 0) {
        RESTART(0, sums);
      }
      _tile_dpbf16ps(0, 4, 6);
      if (part == 0) {
        RESTART(1, sums);
      }
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (two) {
        _tile_loadd(5, x[step][i][kTile], x_bytes);
        if (part == 0) {
          RESTART(2, sums);
        }
        _tile_dpbf16ps(2, 5, 6);
        if (part == 0) {
          RESTART(3, sums);
        }
        _tile_dpbf16ps(3, 5, 7);
      }
      scale_rows(before, rows * part / parts, rows * (part + 1) / parts);
    }
  }
  // The tile functions do not tell the compiler what memory they touch.
  asm volatile("" ::: "memory");
}

// Part of y.
struct Totals {
  float* y;
  int64_t stride;
  int64_t rows; // kBlock at most
  int64_t columns; // of kPanels panels at most

  __mmask16 mask(int64_t column) const {
    const int64_t left = std::clamp<int64_t>(columns - column, 0, 16);
    return static_cast<__mmask16>((1 << left) - 1);
  }
};

// y (+)= a block of x times panels of W, over `groups` groups.
template <int kPieces, int kSteps, bool two>
AFFINE_AMX void multiply_block(
    const BlockOfX<kPieces>& x,
    const Panel* w,
    int64_t groups,
    const Totals& y,
    bool first) {
  alignas(64) float totals[kPanels][kBlock * kPanel];
  alignas(64) float sums[2][kBlock * kPanel];
  alignas(
      64) float nothing[kBlock * kPanel] = {}; // of two turns before the first
  const int64_t width = round_up(y.columns, kPanel);
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t n = 0; n < width; n += 16) {
      _mm512_store_ps(
          totals[n / kPanel] + r * kPanel + n % kPanel,
          first ? _mm512_setzero_ps()
                : _mm512_maskz_loadu_ps(y.mask(n), y.y + r * y.stride + n));
    }
  }
  // A group's sums are in the tiles while the next is multiplied, and scaled
  // with the one after.
  Pending now{nothing, nothing, w->scales[0], w->biases[0], x.sums[0]};
  Pending before = now;
  int64_t turn = 0;
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t n = 0; n * kPanel < width; ++n) {
      add_group<kPieces, kSteps, two>(
          &x.pieces[g * kSteps],
          &w[n].pairs[g * kSteps * kTile],
          before,
          sums[turn]);
      before = now;
      before.sums = sums[turn];
      now.totals = totals[n];
      now.scales = w[n].scales[g];
      now.biases = w[n].biases[g];
      now.x_sums = x.sums[g];
      turn = 1 - turn;
    }
  }
  constexpr int64_t rows = two ? kBlock : kTile;
  scale_rows(before, 0, rows);
  now.sums = sums[turn];
  RESTART(0, sums[turn]);
  RESTART(1, sums[turn]);
  if constexpr (two) {
    RESTART(2, sums[turn]);
    RESTART(3, sums[turn]);
  }
  asm volatile("" ::: "memory");
  scale_rows(now, 0, rows);
  for (int64_t r = 0; r < y.rows; ++r) {
    for (int64_t n = 0; n < width; n += 16) {
      _mm512_mask_storeu_ps(
          y.y + r * y.stride + n,
          y.mask(n),
          _mm512_load_ps(totals[n / kPanel] + r * kPanel + n % kPanel));
    }
  }
}

template <int kPieces>
class AffineAmx {
 public:
  explicit AffineAmx(const GemmArgs& args)
      : args_(args),
        pieces_(args, kBlock, kPanel, kWidth),
        depth_blocks_((args.w.columns + kDepth - 1) / kDepth),
        unpack_(unpack_of<Panel>(args.w.bits)) {}

  void run() {
    static thread_local Scratch scratch;
    int64_t blocks = (args_.m + kBlock - 1) / kBlock;
    constexpr int64_t block_floats = sizeof(BlockOfX<kPieces>) / sizeof(float);
    x_ = reinterpret_cast<BlockOfX<kPieces>*>(
        scratch.floats(blocks * depth_blocks_ * block_floats));
    parallel_for(
        blocks, pieces_.small() ? blocks : 1, [this](int64_t i) { split(i); });
    pieces_.each([this](const GemmPieces::Piece& p) {
      switch (args_.w.group) {
        case 32:
          return multiply_piece<1>(p);
        case 64:
          return multiply_piece<2>(p);
        default:
          return multiply_piece<4>(p);
      }
    });
  }

 private:
  VNNI void split(int64_t block) {
    static thread_local Scratch scratch;
    const int64_t columns = args_.w.columns;
    const int64_t group = args_.w.group;
    const int64_t width = args_.x_type == FloatType::f32 ? 4 : 2;
    float* row = scratch.floats(columns);
    for (int64_t r = 0; r < kBlock; ++r) {
      const int64_t at = block * kBlock + r;
      if (at < args_.m) {
        to_f32(
            args_.x_type,
            static_cast<const uint8_t*>(args_.x) + at * columns * width,
            row,
            columns);
      } else {
        std::fill(row, row + columns, 0.0f);
      }
      for (int64_t k = 0; k < columns; k += group) {
        BlockOfX<kPieces>& to = x_[block * depth_blocks_ + k / kDepth];
        __m512 sum = _mm512_setzero_ps();
        for (int64_t c = k; c < k + group; c += 16) {
          __m512 rest = _mm512_loadu_ps(row + c);
          sum = _mm512_add_ps(sum, rest);
          auto& step = to.pieces[c % kDepth / kStep];
#pragma GCC unroll 3
          for (int64_t i = 0; i < kPieces; ++i) {
            // To the nearest; what is none stays one by the group's sum.
            _mm256_store_si256(
                reinterpret_cast<__m256i*>(step[i][r] + c % kStep),
                take_bf16(rest));
          }
        }
        to.sums[k % kDepth / group][r] = _mm512_reduce_add_ps(sum);
      }
    }
  }

  template <int kSteps>
  AFFINE_AMX void multiply_piece(const GemmPieces::Piece& p) {
    static thread_local Scratch scratch;
    static_assert(sizeof(Panel) % 64 == 0);
    auto* panels = reinterpret_cast<Panel*>(scratch.floats(
        pieces_.width() / kPanel *
        static_cast<int64_t>(sizeof(Panel) / sizeof(float))));
    const amx::TileConfig config(kTile, kTile, kTile);
    asm volatile("" ::: "memory");
    _tile_loadconfig(&config);
    for (int64_t b = 0; b < depth_blocks_; ++b) {
      const int64_t k = b * kDepth;
      const int64_t count = std::min(kDepth, args_.w.columns - k);
      for (int64_t n = 0; n < p.columns; n += kPanel) {
        unpack_(args_.w, p.column + n, k, count, panels[n / kPanel]);
      }
      for (int64_t m = 0; m < p.rows; m += kBlock) {
        const auto& x = x_[(p.row + m) / kBlock * depth_blocks_ + b];
        const int64_t rows = std::min(kBlock, p.rows - m);
        auto* multiply = rows > kTile ? multiply_block<kPieces, kSteps, true>
                                      : multiply_block<kPieces, kSteps, false>;
        for (int64_t n = 0; n < p.columns; n += kPanels * kPanel) {
          const Totals y{
              p.sums + m * p.stride + n,
              p.stride,
              rows,
              std::min(kPanels * kPanel, p.columns - n)};
          multiply(x, panels + n / kPanel, count / (kSteps * kStep), y, b == 0);
        }
      }
    }
    _tile_release();
    finish_block(args_, p.sums, p.stride, p.row, p.rows, p.column, p.columns);
  }

  const GemmArgs& args_;
  GemmPieces pieces_;
  int64_t depth_blocks_;
  Unpack<Panel> unpack_;
  BlockOfX<kPieces>* x_ = nullptr; // [blocks of rows, depth blocks]
};

} // namespace

bool affine_amx_runs(const GemmArgs& args) {
  return args.w.bits != 0 && args.x_type != FloatType::bf16 &&
      args.m >= kFewestRows && runs_amx();
}

void affine_amx(const GemmArgs& args) {
  if (args.x_type == FloatType::f16 || args.coarse_x) {
    AffineAmx<2>(args).run();
  } else {
    AffineAmx<3>(args).run();
  }
}

} // namespace mlx_audio::kernels

#else // other CPUs: never called

namespace mlx_audio::kernels {

bool affine_amx_runs(const GemmArgs& /* args */) {
  return false;
}

void affine_amx(const GemmArgs& /* args */) {}

} // namespace mlx_audio::kernels

#endif
