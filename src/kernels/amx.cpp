#include "kernels/amx.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)

#include "kernels/amx-inl.h"

namespace mlx_audio::kernels::amx {

namespace {

// A block is 32 rows by 32 columns: sums in tiles 0 to 3, a's rows in 4 and 5,
// b's columns in 6 and 7, so that each tile loaded serves two products.
constexpr int64_t kBlock = 2 * kTile;
static_assert(kStep == kTile);

// Products of a step that one pass takes. Fewer have their b (2 kB each) stay
// in the first-level cache while rows pass by, more load and store sums less
// often: of 12, 20, 36 and 72 this was the fastest in most of Kokoro's shapes.
constexpr int64_t kProducts = 36;

enum class Words { bf16_pairs, bytes };

// One block of rows, the second tile of which may be missing: products [from,
// to) of all steps from `first` on with their taps.
template <Words words, bool two, class Sum>
AMX_INLINE void add_block(
    const Product& p,
    int64_t row,
    int64_t column,
    int64_t first,
    int64_t from,
    int64_t to,
    Sum* c) {
  const int64_t c_bytes = 4 * p.c_stride;
  const int64_t a_bytes = 4 * p.a_stride;
  const int64_t b_bytes = 4 * p.b_stride;
  c += row * p.c_stride + column;
  Sum* c_low = c + kTile * p.c_stride;
  if (p.overwrite && first + from == 0) {
    _tile_zero(0);
    _tile_zero(1);
    if constexpr (two) {
      _tile_zero(2);
      _tile_zero(3);
    }
  } else {
    _tile_loadd(0, c, c_bytes);
    _tile_loadd(1, c + kTile, c_bytes);
    if constexpr (two) {
      _tile_loadd(2, c_low, c_bytes);
      _tile_loadd(3, c_low + kTile, c_bytes);
    }
  }
  // Taps of one step after the other: they read nearly the same rows of a.
  int64_t tap = from % p.taps;
  int64_t step = first + from / p.taps;
  const uint32_t* a = p.a + row * p.a_stride + step * p.a_step;
  const uint32_t* b = p.b + step * kStep * p.b_stride + column;
  for (int64_t i = from; i < to; ++i) {
    const uint32_t* a_at = a + tap * p.a_tap;
    const uint32_t* b_at = b + tap * p.b_tap;
    _tile_loadd(6, b_at, b_bytes);
    _tile_loadd(7, b_at + kTile, b_bytes);
    _tile_loadd(4, a_at, a_bytes);
    if constexpr (two) {
      _tile_loadd(5, a_at + kTile * p.a_stride, a_bytes);
    }
    if constexpr (words == Words::bf16_pairs) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (two) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    } else {
      _tile_dpbsud(0, 4, 6);
      _tile_dpbsud(1, 4, 7);
      if constexpr (two) {
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
      }
    }
    if (++tap == p.taps) {
      tap = 0;
      a += p.a_step;
      b += kStep * p.b_stride;
    }
  }
  _tile_stored(0, c, c_bytes);
  _tile_stored(1, c + kTile, c_bytes);
  if constexpr (two) {
    _tile_stored(2, c_low, c_bytes);
    _tile_stored(3, c_low + kTile, c_bytes);
  }
}

// Rows [begin, end) in blocks of one shape, over `steps` steps from `first` on,
// each of `depth` words.
template <Words words, bool two, class Sum>
AMX void add_rows(
    const Product& p,
    int64_t begin,
    int64_t end,
    int64_t first,
    int64_t steps,
    int64_t depth,
    Sum* c) {
  const int64_t rows = end - begin;
  const TileConfig config(
      std::min(rows, kTile),
      two ? std::min(rows, kBlock) - kTile : kTile,
      depth);
  // The tile functions do not tell the compiler what memory they read.
  asm volatile("" ::: "memory");
  _tile_loadconfig(&config);
  const int64_t products = steps * p.taps;
  // Whole steps, if they have few taps. A single block of rows has b pass by
  // once anyway.
  const int64_t whole = std::max<int64_t>(1, kProducts / p.taps) * p.taps;
  const int64_t pass = rows <= kBlock ? products : whole;
  for (int64_t column = 0; column < p.columns; column += kBlock) {
    for (int64_t from = 0; from < products; from += pass) {
      const int64_t to = std::min(products, from + pass);
      for (int64_t row = begin; row < end; row += kBlock) {
        add_block<words, two>(p, row, column, first, from, to, c);
      }
    }
  }
}

template <Words words, class Sum>
AMX void add(const Product& p, Sum* c) {
  const int64_t whole_rows = p.rows / kBlock * kBlock;
  const int64_t steps = p.depth / kStep;
  auto with_depth = [&](int64_t first, int64_t count, int64_t depth) AMX {
    if (count * depth == 0) {
      return;
    }
    if (whole_rows > 0) {
      add_rows<words, true>(p, 0, whole_rows, first, count, depth, c);
    }
    if (p.rows - whole_rows > kTile) {
      add_rows<words, true>(p, whole_rows, p.rows, first, count, depth, c);
    } else if (p.rows > whole_rows) {
      add_rows<words, false>(p, whole_rows, p.rows, first, count, depth, c);
    }
  };
  with_depth(0, steps, kStep);
  with_depth(steps, 1, p.depth % kStep);
  _tile_release();
}

} // namespace

void add_bf16(const Product& p, float* c) {
  add<Words::bf16_pairs>(p, c);
}

void add_bytes(const Product& p, int32_t* c) {
  add<Words::bytes>(p, c);
}

} // namespace mlx_audio::kernels::amx

#else // other CPUs: never called

namespace mlx_audio::kernels::amx {

void add_bf16(const Product& /* p */, float* /* c */) {}
void add_bytes(const Product& /* p */, int32_t* /* c */) {}

} // namespace mlx_audio::kernels::amx

#endif
