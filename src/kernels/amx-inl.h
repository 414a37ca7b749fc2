// What files with tile products of Intel's AMX share. Only for x86-64.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define AMX __attribute__((target("amx-tile,amx-bf16,amx-int8")))
#define AMX_INLINE AMX __attribute__((always_inline)) static inline

namespace mlx_audio::kernels::amx {

constexpr int64_t kTile = 16; // rows, columns and words of depth

/// Of blocks of two by two tiles: sums in 0 to 3, a's rows in 4 and 5, b's
/// columns in 6 and 7.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  /// Rows of the first and the second tile of a, words of depth.
  TileConfig(int64_t first, int64_t second, int64_t depth) {
    for (int tile = 0; tile < 8; ++tile) {
      bool of_a = tile == 4 || tile == 5;
      bool of_b = tile >= 6;
      bool low = tile >= 2 && tile != 4;
      row_bytes[tile] = static_cast<uint16_t>(4 * (of_a ? depth : kTile));
      rows[tile] = static_cast<uint8_t>(of_b ? depth : (low ? second : first));
    }
  }
};

} // namespace mlx_audio::kernels::amx
