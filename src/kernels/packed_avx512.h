// Inner loops over packed weights and panels for CPUs with AVX-512's dot
// products (VNNI for 8-bit integers, BF16). Compiled with those instructions:
// call nothing of this unless packed_available(). See kernels/packed.h for the
// layouts.
#pragma once

#include <cstdint>

namespace mlx_audio::kernels::avx512 {

/// Rows of activations as words of 32 bits: f32, pairs of bf16 or four signed
/// bytes.
struct Rows {
  const uint32_t* words;
  int64_t stride; // in words
  const float* scales; // int8: of each row
  const int32_t* sums; // int8: 128 times the sum of each row's bytes
};

/// One panel: c [rows, columns <= 64] (+)= a [rows, words] b [words, 64] +
/// bias.
struct Product {
  Rows a;
  int64_t rows;
  int64_t words;
  const void* b;
  const float* b_scales; // int8: of the panel's columns; else null
  const float* bias = nullptr; // [columns], optional
  float* c;
  int64_t c_stride;
  int64_t columns;
  bool add = false; // to what c holds
};

void product_f32(const Product& p);
void product_f16(const Product& p); // b is f16, a is f32
void product_bf16(const Product& p);
void product_int8(const Product& p); // b's bytes are offset by 128

/// What is left to do when sums [rows, 64] of a b have been made elsewhere:
/// f32, or of a's signed and b's unsigned bytes.
void finish_f32(const Product& p, const float* sums);
void finish_int8(const Product& p, const int32_t* sums);

/// x [count] as pairs of bf16, rounded to nearest even.
void to_bf16(const float* x, int64_t count, uint32_t* words);

/// x [count], count a multiple of 4, as signed bytes of one scale, which is
/// returned; `sum` becomes 128 times the sum of the bytes.
float to_int8(const float* x, int64_t count, uint32_t* words, int32_t& sum);

/// Two rows of 64 values as 64 words of bf16: the first row is the lower half.
void pair_bf16(const float* first, const float* second, uint32_t* words);

void to_f16(const float* x, int64_t count, uint16_t* y); // count % 16 == 0
void from_f16(const uint16_t* x, int64_t count, float* y);

float largest(const float* x, int64_t count);

/// Scores [count] become exp(score - shift), as f32 in place, or 2^(score -
/// shift) as pairs of bf16, then zeros up to `padded`, a multiple of 32.
/// Returns their sum.
float softmax_f32(float* scores, int64_t count, int64_t padded, float shift);
float softmax_bf16(
    const float* scores,
    int64_t count,
    int64_t padded,
    float shift,
    uint32_t* words);

/// x [count] *= factor
void scale(float* x, int64_t count, float factor);

/// x [dim] normalized (statistics in f32) times weight plus bias.
void layer_norm(
    const float* x,
    const float* weight,
    const float* bias,
    float eps,
    int64_t dim,
    float* y);

/// y [count] += x + bias; bias may be null.
void add(const float* x, const float* bias, int64_t count, float* y);

} // namespace mlx_audio::kernels::avx512
