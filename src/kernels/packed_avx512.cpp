// Compiled with AVX-512 flags of its own (src/kernels/CMakeLists.txt). Headers
// with inline functions that others use too have no place here: the linker
// could take this file's copies for all.
#include "kernels/packed_avx512.h"

#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)

#include <immintrin.h>

namespace mlx_audio::kernels::avx512 {

namespace {

constexpr int kVectors = 4; // of 16 columns: a panel
constexpr int kTileRows = 6; // 24 sums, 4 columns of b and one of a

struct F32 {
  using Sum = __m512;
  using Column = __m512;
  using Word = __m512;
  static constexpr int64_t kRowBytes = 256;
  static Sum zero() {
    return _mm512_setzero_ps();
  }
  static Column load(const char* b, int v) {
    return _mm512_loadu_ps(reinterpret_cast<const float*>(b) + 16 * v);
  }
  static Word word(uint32_t a) {
    return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(a)));
  }
  static Sum dot(Sum sum, Column b, Word a) {
    return _mm512_fmadd_ps(b, a, sum);
  }
};

struct F16 : F32 {
  static constexpr int64_t kRowBytes = 128;
  static Column load(const char* b, int v) {
    return _mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b) + v));
  }
};

// This dot product and the next are written by hand: GCC 12 copies the sum
// before and after its own functions for them, which halves the rate.
struct Bf16 : F32 {
  using Column = __m512bh;
  using Word = __m512bh;
  static Column load(const char* b, int v) {
    return reinterpret_cast<__m512bh>(
        _mm512_loadu_si512(reinterpret_cast<const __m512i*>(b) + v));
  }
  static Word word(uint32_t a) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(a)));
  }
  static Sum dot(Sum sum, Column b, Word a) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a));
    return sum;
  }
};

struct Int8 {
  using Sum = __m512i;
  using Column = __m512i;
  using Word = __m512i;
  static constexpr int64_t kRowBytes = 256;
  static Sum zero() {
    return _mm512_setzero_si512();
  }
  static Column load(const char* b, int v) {
    return _mm512_loadu_si512(reinterpret_cast<const __m512i*>(b) + v);
  }
  static Word word(uint32_t a) {
    return _mm512_set1_epi32(static_cast<int>(a));
  }
  static Sum dot(Sum sum, Column b, Word a) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(b), "v"(a));
    return sum;
  }
};

__mmask16 mask_of(int64_t left) {
  return left >= 16 ? 0xFFFF
      : left <= 0   ? 0
                    : static_cast<__mmask16>((1U << left) - 1);
}

template <class Op, int rows>
inline __attribute__((always_inline)) void tile(const Product& p, int64_t row) {
  typename Op::Sum sums[rows][kVectors];
  for (auto& r : sums) {
    for (auto& sum : r) {
      sum = Op::zero();
    }
  }
  const uint32_t* a = p.a.words + row * p.a.stride;
  const char* b = static_cast<const char*>(p.b);
  for (int64_t k = 0; k < p.words; ++k, b += Op::kRowBytes) {
    typename Op::Column columns[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      columns[v] = Op::load(b, v);
    }
    for (int r = 0; r < rows; ++r) {
      const auto word = Op::word(a[r * p.a.stride + k]);
      for (int v = 0; v < kVectors; ++v) {
        sums[r][v] = Op::dot(sums[r][v], columns[v], word);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    float* c = p.c + (row + r) * p.c_stride;
    for (int v = 0; v < kVectors; ++v) {
      __m512 y;
      if constexpr (__is_same(Op, Int8)) {
        const __m512i offset = _mm512_set1_epi32(p.a.sums[row + r]);
        y = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r][v], offset));
        y = _mm512_mul_ps(y, _mm512_set1_ps(p.a.scales[row + r]));
        y = _mm512_mul_ps(y, _mm512_loadu_ps(p.b_scales + 16 * v));
      } else {
        y = sums[r][v];
      }
      _mm512_mask_storeu_ps(c + 16 * v, mask_of(p.columns - 16 * v), y);
    }
  }
}

template <class Op>
void product(const Product& p) {
  int64_t row = 0;
  for (; row + kTileRows <= p.rows; row += kTileRows) {
    tile<Op, kTileRows>(p, row);
  }
  switch (p.rows - row) {
    case 1:
      return tile<Op, 1>(p, row);
    case 2:
      return tile<Op, 2>(p, row);
    case 3:
      return tile<Op, 3>(p, row);
    case 4:
      return tile<Op, 4>(p, row);
    case 5:
      return tile<Op, 5>(p, row);
    default:
      return;
  }
}

// e^x for x <= 0, to 2 units in the last place (Cephes' polynomial).
inline __m512 exp(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-87.3f));
  const __m512 n = _mm512_roundscale_ps(
      _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
      _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  constexpr float rest[] = {
      1.3981999507e-3f,
      8.3334519073e-3f,
      4.1665795894e-2f,
      1.6666665459e-1f,
      5.0000001201e-1f};
  for (float c : rest) {
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  }
  const __m512 one = _mm512_set1_ps(1.0f);
  p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, _mm512_add_ps(r, one));
  return _mm512_scalef_ps(p, n);
}

float largest(const float* x, int64_t count) {
  __m512 top = _mm512_set1_ps(-__builtin_inff());
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_of(count - i);
    top =
        _mm512_mask_max_ps(top, mask, top, _mm512_maskz_loadu_ps(mask, x + i));
  }
  return _mm512_reduce_max_ps(top);
}

// exp(x[i] - shift), 0 from count on.
inline __m512 weight(const float* x, int64_t i, int64_t count, __m512 shift) {
  const __mmask16 mask = mask_of(count - i);
  return _mm512_maskz_mov_ps(
      mask, exp(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), shift)));
}

__m512i round_bf16(const float* x) { // in the low halves
  const __m256bh narrow = _mm512_cvtneps_pbh(_mm512_loadu_ps(x));
  return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(narrow));
}

} // namespace

void product_f32(const Product& p) {
  product<F32>(p);
}

void product_f16(const Product& p) {
  product<F16>(p);
}

void product_bf16(const Product& p) {
  product<Bf16>(p);
}

void product_int8(const Product& p) {
  product<Int8>(p);
}

void to_bf16(const float* x, int64_t count, uint32_t* words) {
  auto* out = reinterpret_cast<uint16_t*>(words);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_of(count - i);
    const __m256bh narrow =
        _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));
    _mm256_mask_storeu_epi16(out + i, mask, reinterpret_cast<__m256i>(narrow));
  }
}

float to_int8(const float* x, int64_t count, uint32_t* words, int32_t& sum) {
  __m512 top = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += 16) {
    top = _mm512_max_ps(
        top, _mm512_abs_ps(_mm512_maskz_loadu_ps(mask_of(count - i), x + i)));
  }
  const float most = _mm512_reduce_max_ps(top);
  const __m512 factor = _mm512_set1_ps(most > 0 ? 127.0f / most : 0.0f);
  __m512i total = _mm512_setzero_si512();
  auto* out = reinterpret_cast<int8_t*>(words);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_of(count - i);
    const __m512i q = _mm512_cvtps_epi32(
        _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), factor));
    total = _mm512_add_epi32(total, q);
    _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtsepi32_epi8(q));
  }
  sum = 128 * _mm512_reduce_add_epi32(total);
  return most / 127.0f;
}

void pair_bf16(const float* first, const float* second, uint32_t* words) {
  for (int i = 0; i < 64; i += 16) {
    const __m512i high = _mm512_slli_epi32(round_bf16(second + i), 16);
    _mm512_storeu_si512(
        words + i, _mm512_or_si512(round_bf16(first + i), high));
  }
}

void to_f16(const float* x, int64_t count, uint16_t* y) {
  for (int64_t i = 0; i < count; i += 16) {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(y + i),
        _mm512_cvtps_ph(_mm512_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  }
}

void from_f16(const uint16_t* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_of(count - i);
    _mm512_mask_storeu_ps(
        y + i, mask, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, x + i)));
  }
}

float softmax_f32(float* scores, int64_t count, int64_t padded) {
  const __m512 shift = _mm512_set1_ps(largest(scores, count));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < padded; i += 16) {
    const __m512 e = weight(scores, i, count, shift);
    _mm512_storeu_ps(scores + i, e);
    sum = _mm512_add_ps(sum, e);
  }
  return _mm512_reduce_add_ps(sum);
}

float softmax_bf16(
    float* scores,
    int64_t count,
    int64_t padded,
    uint32_t* words) {
  const __m512 shift = _mm512_set1_ps(largest(scores, count));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < padded; i += 32) {
    const __m512 low = weight(scores, i, count, shift);
    const __m512 high = weight(scores, i + 16, count, shift);
    sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
    _mm512_storeu_si512(
        words + i / 2,
        reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
  return _mm512_reduce_add_ps(sum);
}

void scale(float* x, int64_t count, float factor) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_of(count - i);
    _mm512_mask_storeu_ps(
        x + i,
        mask,
        _mm512_mul_ps(
            _mm512_maskz_loadu_ps(mask, x + i), _mm512_set1_ps(factor)));
  }
}

void layer_norm(
    const float* x,
    const float* weight,
    const float* bias,
    float eps,
    int64_t dim,
    float* y) {
  __m512 sums = _mm512_setzero_ps();
  for (int64_t i = 0; i < dim; i += 16) {
    sums = _mm512_add_ps(sums, _mm512_maskz_loadu_ps(mask_of(dim - i), x + i));
  }
  const float mean = _mm512_reduce_add_ps(sums) / static_cast<float>(dim);
  const __m512 center = _mm512_set1_ps(mean);
  sums = _mm512_setzero_ps();
  for (int64_t i = 0; i < dim; i += 16) {
    const __mmask16 mask = mask_of(dim - i);
    const __m512 d =
        _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), center);
    sums = _mm512_fmadd_ps(d, d, sums);
  }
  const float variance = _mm512_reduce_add_ps(sums) / static_cast<float>(dim);
  const __m512 factor = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + eps));
  for (int64_t i = 0; i < dim; i += 16) {
    const __mmask16 mask = mask_of(dim - i);
    __m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), center);
    v = _mm512_mul_ps(v, factor);
    v = _mm512_fmadd_ps(
        v,
        _mm512_maskz_loadu_ps(mask, weight + i),
        _mm512_maskz_loadu_ps(mask, bias + i));
    _mm512_mask_storeu_ps(y + i, mask, v);
  }
}

void add(const float* x, const float* bias, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = mask_of(count - i);
    __m512 v = _mm512_add_ps(
        _mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i));
    if (bias != nullptr) {
      v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, bias + i));
    }
    _mm512_mask_storeu_ps(y + i, mask, v);
  }
}

} // namespace mlx_audio::kernels::avx512

#else // other CPUs: never called

#include <cstdlib>

namespace mlx_audio::kernels::avx512 {

void product_f32(const Product& /* p */) {
  std::abort();
}
void product_f16(const Product& /* p */) {
  std::abort();
}
void product_bf16(const Product& /* p */) {
  std::abort();
}
void product_int8(const Product& /* p */) {
  std::abort();
}
void to_bf16(const float*, int64_t, uint32_t*) {
  std::abort();
}
float to_int8(const float*, int64_t, uint32_t*, int32_t&) {
  std::abort();
}
void pair_bf16(const float*, const float*, uint32_t*) {
  std::abort();
}
void to_f16(const float*, int64_t, uint16_t*) {
  std::abort();
}
void from_f16(const uint16_t*, int64_t, float*) {
  std::abort();
}
float softmax_f32(float*, int64_t, int64_t) {
  std::abort();
}
float softmax_bf16(float*, int64_t, int64_t, uint32_t*) {
  std::abort();
}
void scale(float*, int64_t, float) {
  std::abort();
}
void layer_norm(
    const float*,
    const float*,
    const float*,
    float,
    int64_t,
    float*) {
  std::abort();
}
void add(const float*, const float*, int64_t, float*) {
  std::abort();
}

} // namespace mlx_audio::kernels::avx512

#endif
