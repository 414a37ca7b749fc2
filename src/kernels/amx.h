// Matrix products in the tile registers of Intel's AMX (Sapphire Rapids and
// later): 16 rows by 16 columns of sums, 16 words of depth an instruction. Call
// them only where runs_amx().
#pragma once

#include <cstdint>

namespace mlx_audio::kernels::amx {

constexpr int64_t kStep = 16; // words of depth that an instruction takes

/// c [rows, columns] += sum over taps of a [rows, depth] b [depth, columns], or
/// = where `overwrite`. A word of a or b is a pair of bf16 or four bytes along
/// the depth; strides are in words. Steps of depth of a may lie apart: then
/// rows of a tile can be neighbours, whatever the depth.
struct Product {
  const uint32_t* a = nullptr;
  int64_t a_stride = 0;
  int64_t a_tap = 0;
  int64_t a_step = kStep;
  const uint32_t* b = nullptr;
  int64_t b_stride = 0;
  int64_t b_tap = 0;
  int64_t taps = 1;
  int64_t depth = 0;
  int64_t rows = 0;
  int64_t columns = 0; // a multiple of 32
  int64_t c_stride = 0;
  bool overwrite = false;
};

/// Pairs of bf16; products and sums are f32, subnormals are taken for zeros.
void add_bf16(const Product& p, float* c);

/// Signed bytes of a times unsigned bytes of b; exact.
void add_bytes(const Product& p, int32_t* c);

} // namespace mlx_audio::kernels::amx
