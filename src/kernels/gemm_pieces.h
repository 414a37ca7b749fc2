// How products with many rows of x are shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/gemm.h"
#include "kernels/parallel.h"
#include "kernels/round_up.h"
#include "kernels/scratch.h"

namespace mlx_audio::kernels {

/// Rows of x at once: they stay in L2.
constexpr int64_t kGemmBlockRows = 96;

/// y in pieces of `height` rows by `width` columns, whole tiles both, of which
/// each unpacks the panels of W that it needs.
class GemmPieces {
 public:
  GemmPieces(
      const GemmArgs& args,
      int64_t tile_rows,
      int64_t tile_columns,
      int64_t most_columns = 128)
      : args_(args) {
    int threads = thread_count();
    // Wide pieces read x less often, but there must be some for each thread.
    int64_t share = (args.w.rows + 2 * threads - 1) / (2 * threads);
    width_ = std::min<int64_t>(
        std::max(most_columns, tile_columns), round_up(share, tile_columns));
    across_ = (args.w.rows + width_ - 1) / width_;
    int64_t wanted = across_ < threads ? 2 * threads / across_ : 1;
    height_ = round_up(
        std::max(
            (args.m + wanted - 1) / wanted, std::min(args.m, kGemmBlockRows)),
        tile_rows);
    down_ = (args.m + height_ - 1) / height_;
  }

  int64_t width() const {
    return width_;
  }
  /// A piece of work should outlast waking a thread.
  bool small() const {
    return args_.m * args_.w.rows * args_.w.columns < 1'000'000;
  }

  struct Piece {
    int64_t column;
    int64_t row;
    int64_t columns;
    int64_t rows;
    float* sums; // y itself if that is f32
    int64_t stride; // of sums
  };

  /// Calls function(piece) for all, on all threads.
  template <class Function>
  void each(const Function& function) const {
    int64_t count = across_ * down_;
    parallel_for(count, small() ? count : 1, [&](int64_t i) {
      function(piece(i / down_ * width_, i % down_ * height_));
    });
  }

 private:
  Piece piece(int64_t column, int64_t row) const {
    Piece p{
        column,
        row,
        std::min(width_, args_.w.rows - column),
        std::min(height_, args_.m - row),
        nullptr,
        0};
    if (args_.x_type == FloatType::f32) {
      p.sums = static_cast<float*>(args_.y) + row * args_.w.rows + column;
      p.stride = args_.w.rows;
    } else {
      static thread_local Scratch scratch;
      p.stride = width_;
      p.sums = scratch.floats(p.rows * p.stride);
    }
    return p;
  }

  const GemmArgs& args_;
  int64_t width_;
  int64_t height_;
  int64_t across_;
  int64_t down_;
};

} // namespace mlx_audio::kernels
