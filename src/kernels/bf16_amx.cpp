// Panels of 32 rows of W become columns of bf16 pairs in the cache, and x is
// multiplied by them.
#include "kernels/bf16_amx.h"

#include <algorithm>

#include "kernels/amx.h"
#include "kernels/gemm_pieces.h"
#include "kernels/parallel.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include "kernels/affine_vnni-inl.h"

namespace mlx_audio::kernels {

namespace {

using namespace vnni;
using amx::kStep;

// For fewer rows of x, dequantizing W takes longer than it saves.
constexpr int64_t kFewestRows = 24;

// Bits of those of 16 columns from `column` on that a row of `columns` has.
__mmask16 mask_of(int64_t columns, int64_t column) {
  const int64_t left = std::clamp<int64_t>(columns - column, 0, 16);
  return static_cast<__mmask16>((1 << left) - 1);
}

int64_t parts_of(const GemmArgs& args) {
  if (args.x_type == FloatType::bf16) {
    return 1;
  }
  return args.x_type == FloatType::f16 || args.coarse_x ? 2 : 3;
}

// Takes panels of unpack_panel as pairs of bf16.
struct DequantizedPanel {
  static constexpr int64_t kDepth = 1024; // columns at once

  uint32_t* pairs; // [kDepth / 2, kPanel]
  int64_t group;
  alignas(64) float scales[kDepth / 32][kPanel];
  alignas(64) float biases[kDepth / 32][kPanel];

  VNNI void put(int64_t c, int64_t half, __m512i v) {
    const int64_t g = 4 * c / group;
    const __m512 scale = _mm512_load_ps(scales[g] + half);
    const __m512 bias = _mm512_load_ps(biases[g] + half);
    const __m512i byte = _mm512_set1_epi32(255);
    const __m512i round = _mm512_set1_epi32(0x8000);
    __m512i values[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512i code = _mm512_and_si512(_mm512_srli_epi32(v, 8 * i), byte);
      values[i] = _mm512_add_epi32(
          _mm512_castps_si512(
              _mm512_fmadd_ps(_mm512_cvtepi32_ps(code), scale, bias)),
          round);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      _mm512_storeu_si512(
          pairs + (2 * c + i) * kPanel + half,
          _mm512_or_si512(
              _mm512_srli_epi32(values[2 * i], 16),
              _mm512_and_si512(values[2 * i + 1], _mm512_set1_epi32(~0xffff))));
    }
  }
};

class Bf16Amx {
 public:
  explicit Bf16Amx(const GemmArgs& args)
      : args_(args),
        pieces_(args, kPanel, kPanel),
        unpack_(unpack_of<DequantizedPanel>(args.w.bits)),
        parts_(parts_of(args)),
        steps_((args.w.columns + 2 * kStep - 1) / (2 * kStep)),
        step_(args.m * kStep) {}

  void run() {
    static thread_local Scratch scratch;
    x_ = reinterpret_cast<uint16_t*>(scratch.floats(parts_ * steps_ * step_));
    parallel_for(args_.m, pieces_.small() ? args_.m : 8, [this](int64_t row) {
      split(row);
    });
    pieces_.each([this](const GemmPieces::Piece& p) { multiply(p); });
  }

 private:
  // x_ is [parts, steps, m, 2 kStep]; columns beyond the last are zeros.
  VNNI void split(int64_t row) {
    static thread_local Scratch scratch;
    const int64_t columns = args_.w.columns;
    const int64_t width = args_.x_type == FloatType::f32 ? 4 : 2;
    float* x = scratch.floats(columns);
    to_f32(
        args_.x_type,
        static_cast<const uint8_t*>(args_.x) + row * columns * width,
        x,
        columns);
    for (int64_t c = 0; c < steps_ * 2 * kStep; c += 16) {
      __m512 rest = _mm512_maskz_loadu_ps(mask_of(columns, c), x + c);
      uint16_t* to =
          x_ + (c / (2 * kStep) * args_.m + row) * 2 * kStep + c % (2 * kStep);
      for (int64_t part = 0; part < parts_; ++part) {
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(to + part * steps_ * step_ * 2),
            take_bf16(rest));
      }
    }
  }

  // Rows of W from `row` on as [words of depth][kPanel], zeros beyond its ends.
  void pack(int64_t row, uint32_t* to) const {
    if (args_.w.bits == 0) {
      return transpose_rows(row, to);
    }
    DequantizedPanel panel;
    panel.group = args_.w.group;
    for (int64_t k = 0; k < args_.w.columns; k += DequantizedPanel::kDepth) {
      panel.pairs = to + k / 2 * kPanel;
      unpack_(
          args_.w,
          row,
          k,
          std::min(DequantizedPanel::kDepth, args_.w.columns - k),
          panel);
    }
  }

  VNNI void transpose_rows(int64_t row, uint32_t* to) const {
    const int64_t columns = args_.w.columns;
    const auto* w = static_cast<const uint16_t*>(args_.w.data);
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t first = row + half * 16;
      for (int64_t k = 0; k < columns; k += 2 * kStep) {
        const uint64_t left = std::min<int64_t>(columns - k, 2 * kStep);
        const auto mask = static_cast<__mmask32>((uint64_t{1} << left) - 1);
        __m512i rows[16];
#pragma GCC unroll 16
        for (int64_t r = 0; r < 16; ++r) {
          rows[r] = first + r < args_.w.rows
              ? _mm512_maskz_loadu_epi16(mask, w + (first + r) * columns + k)
              : _mm512_setzero_si512();
        }
        transpose(rows);
#pragma GCC unroll 16
        for (int64_t i = 0; i < kStep; ++i) {
          _mm512_storeu_si512(to + (k / 2 + i) * kPanel + half * 16, rows[i]);
        }
      }
    }
  }

  void multiply(const GemmPieces::Piece& p) const {
    static thread_local Scratch panel_scratch;
    static thread_local Scratch sums_scratch;
    auto* panel = reinterpret_cast<uint32_t*>(
        panel_scratch.floats(steps_ * kStep * kPanel));
    for (int64_t n = 0; n < p.columns; n += kPanel) {
      pack(p.column + n, panel);
      const int64_t columns = std::min(kPanel, p.columns - n);
      const bool whole = columns == kPanel;
      float* sums = whole ? p.sums + n : sums_scratch.floats(p.rows * kPanel);
      amx::add_bf16(
          {.a = reinterpret_cast<const uint32_t*>(x_) + p.row * kStep,
           .a_stride = kStep,
           .a_tap = steps_ * step_,
           .a_step = step_,
           .b = panel,
           .b_stride = kPanel,
           .taps = parts_, // of x, by the same weights
           .depth = steps_ * kStep,
           .rows = p.rows,
           .columns = kPanel,
           .c_stride = whole ? p.stride : kPanel,
           .overwrite = true},
          sums);
      for (int64_t r = 0; !whole && r < p.rows; ++r) {
        std::copy_n(sums + r * kPanel, columns, p.sums + r * p.stride + n);
      }
    }
    finish_block(args_, p.sums, p.stride, p.row, p.rows, p.column, p.columns);
  }

  const GemmArgs& args_;
  GemmPieces pieces_;
  Unpack<DequantizedPanel> unpack_;
  int64_t parts_;
  int64_t steps_;
  int64_t step_; // words of x that a step takes
  uint16_t* x_ = nullptr;
};

} // namespace

bool bf16_amx_runs(const GemmArgs& args) {
  const bool rounded = args.w.bits != 0 && args.x_type == FloatType::bf16 &&
      args.m >= kFewestRows;
  const bool stored = args.w.bits == 0 && args.w.type == FloatType::bf16;
  return (rounded || stored) && runs_amx();
}

void bf16_amx(const GemmArgs& args) {
  Bf16Amx(args).run();
}

} // namespace mlx_audio::kernels

#else // other CPUs: never called

namespace mlx_audio::kernels {

bool bf16_amx_runs(const GemmArgs& /* args */) {
  return false;
}

void bf16_amx(const GemmArgs& /* args */) {}

} // namespace mlx_audio::kernels

#endif
