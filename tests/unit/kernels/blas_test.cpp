// Which BLAS answers MLX's own f32 products, and that it computes what CBLAS
// defines.
#include <dlfcn.h>

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/blas_shim.h"
#include "mlx/mlx.h"

extern "C" void cblas_sgemm(
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
    int ldc);

namespace mlx_audio::kernels {
namespace {

namespace mx = mlx::core;

int64_t calls_during(const mx::array& result) {
  auto before = sgemm_calls();
  mx::array copy = result;
  copy.eval();
  return sgemm_calls() - before;
}

TEST(Blas, TheLoaderFindsOursFirst) {
  Dl_info info;
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "cblas_sgemm"), &info), 0);
  EXPECT_NE(std::string(info.dli_fname).find("libmlx_audio"), std::string::npos)
      << info.dli_fname;
}

TEST(Blas, MlxMatmulReachesOurs) {
  auto a = mx::random::normal({64, 48});
  auto b = mx::random::normal({48, 32});
  mx::eval(a, b);
  EXPECT_GE(calls_during(mx::matmul(a, b)), 1);
  EXPECT_GE(calls_during(mx::matmul(mx::transpose(b), mx::transpose(a))), 1);
  EXPECT_GE(calls_during(mx::addmm(mx::array(1.0f), a, b)), 1);
}

TEST(Blas, MlxConvolutionReachesOurs) {
  auto x = mx::random::normal({1, 200, 64});
  auto w = mx::random::normal({32, 5, 64});
  mx::eval(x, w);
  EXPECT_GE(calls_during(mx::conv1d(x, w, 1, 2)), 1);
}

// Every layout, transposition, leading dimension and scalar against a loop in
// double. Sums of 13 products of numbers below 1 round to well under 1e-5.
TEST(Blas, ComputesWhatCblasDefines) {
  constexpr int m = 7, n = 5, k = 13, pad = 3;
  for (int layout : {101, 102}) {
    for (int ta : {111, 112, 113}) {
      for (int tb : {111, 112}) {
        for (float beta : {0.0f, 0.5f}) {
          for (int depth : {k, 0}) {
            bool row = layout == 101;
            auto leading = [&](int rows, int columns, int t) {
              return ((row == (t == 111)) ? columns : rows) + pad;
            };
            int lda = leading(m, k, ta);
            int ldb = leading(k, n, tb);
            int ldc = (row ? n : m) + pad;
            std::vector<float> a(30 * 30), b(30 * 30), c(30 * 30), start;
            for (size_t i = 0; i < a.size(); ++i) {
              a[i] = std::sin(0.7f * i);
              b[i] = std::cos(1.3f * i);
              c[i] = beta == 0 ? NAN : std::sin(0.1f * i);
            }
            start = c;
            auto index = [&](int i, int j, int ld, int t) {
              return (row == (t == 111)) ? i * ld + j : j * ld + i;
            };
            cblas_sgemm(
                layout,
                ta,
                tb,
                m,
                n,
                depth,
                1.5f,
                a.data(),
                lda,
                b.data(),
                ldb,
                beta,
                c.data(),
                ldc);
            for (int i = 0; i < m; ++i) {
              for (int j = 0; j < n; ++j) {
                double sum = 0;
                for (int l = 0; l < depth; ++l) {
                  sum +=
                      1.5 * a[index(i, l, lda, ta)] * b[index(l, j, ldb, tb)];
                }
                int at = index(i, j, ldc, 111);
                sum += beta == 0 ? 0 : beta * start[at];
                ASSERT_NEAR(c[at], sum, 1e-5)
                    << layout << " " << ta << " " << tb << " " << beta;
              }
            }
          }
        }
      }
    }
  }
}

} // namespace
} // namespace mlx_audio::kernels
