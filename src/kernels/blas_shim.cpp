#include "kernels/blas_shim.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include <oneapi/dnnl/dnnl.h>

namespace mlx_audio::kernels {

namespace {

std::atomic<int64_t> calls = 0;

// The values that CBLAS fixes.
constexpr int kRowMajor = 101;
constexpr int kNoTranspose = 111;

} // namespace

int64_t sgemm_calls() {
  return calls.load(std::memory_order_relaxed);
}

} // namespace mlx_audio::kernels

/// C = alpha op(A) op(B) + beta C, as CBLAS defines it for 32-bit ints.
extern "C" __attribute__((visibility("default"))) void cblas_sgemm(
    int layout,
    int transpose_a,
    int transpose_b,
    int m,
    int n,
    int k,
    float alpha,
    const float* a,
    int lda,
    const float* b,
    int ldb,
    float beta,
    float* c,
    int ldc) {
  using namespace mlx_audio::kernels;
  calls.fetch_add(1, std::memory_order_relaxed);
  if (layout != kRowMajor) {
    // A column-major product is the row-major product of the transposes.
    std::swap(transpose_a, transpose_b);
    std::swap(m, n);
    std::swap(a, b);
    std::swap(lda, ldb);
  }
  if (m <= 0 || n <= 0) {
    return;
  }
  if (k <= 0 || alpha == 0) {
    for (int i = 0; i < m; ++i) {
      float* row = c + static_cast<int64_t>(i) * ldc;
      // beta = 0 must not read C, which may hold NaN.
      std::transform(row, row + n, row, [beta](float v) {
        return beta == 0 ? 0 : beta * v;
      });
    }
    return;
  }
  dnnl_sgemm(
      transpose_a == kNoTranspose ? 'N' : 'T',
      transpose_b == kNoTranspose ? 'N' : 'T',
      m,
      n,
      k,
      alpha,
      a,
      lda,
      b,
      ldb,
      beta,
      c,
      ldc);
}
