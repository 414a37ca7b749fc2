// The errors that kernels/math-inl.h states, on every instruction set of this
// CPU, against libm in double.
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/pointwise.h"
#include "kernels/simd.h"

namespace mlx_audio::kernels {
namespace {

struct Case {
  const char* name;
  Pointwise function;
  std::function<double(double)> exact;
  float low;
  float high;
  double absolute; // error allowed, plus
  double relative; // times the exact value
};

double exact_gelu(double x) {
  return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}

double exact_gelu_tanh(double x) {
  return 0.5 * x *
      (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

double exact_sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

const std::vector<Case> cases = {
    {"exp",
     Pointwise::exp,
     [](double x) { return std::exp(x); },
     -87.3f,
     88.7f,
     0,
     1.2e-7},
    {"tanh",
     Pointwise::tanh,
     [](double x) { return std::tanh(x); },
     -12,
     12,
     0,
     4e-7},
    {"tanh of small",
     Pointwise::tanh,
     [](double x) { return std::tanh(x); },
     -1e-3f,
     1e-3f,
     0,
     4e-7},
    {"sigmoid", Pointwise::sigmoid, exact_sigmoid, -80, 80, 0, 2.5e-7},
    {"erf",
     Pointwise::erf,
     [](double x) { return std::erf(x); },
     -6,
     6,
     5e-7,
     0},
    {"sin",
     Pointwise::sin,
     [](double x) { return std::sin(x); },
     -1e4f,
     1e4f,
     3e-7,
     0},
    {"cos",
     Pointwise::cos,
     [](double x) { return std::cos(x); },
     -1e4f,
     1e4f,
     3e-7,
     0},
    {"sin of small",
     Pointwise::sin,
     [](double x) { return std::sin(x); },
     -7,
     7,
     1.5e-7,
     0},
    {"cos of small",
     Pointwise::cos,
     [](double x) { return std::cos(x); },
     -7,
     7,
     1.5e-7,
     0},
    {"sin_squared",
     Pointwise::sin_squared,
     [](double x) { return std::sin(x) * std::sin(x); },
     -1e4f,
     1e4f,
     3e-7,
     0},
    {"relu",
     Pointwise::relu,
     [](double x) { return std::max(x, 0.0); },
     -3,
     3,
     0,
     0},
    {"gelu", Pointwise::gelu, exact_gelu, -10, 10, 2e-6, 0},
    {"gelu_tanh", Pointwise::gelu_tanh, exact_gelu_tanh, -10, 10, 3e-7, 3e-7},
    {"silu",
     Pointwise::silu,
     [](double x) { return x * exact_sigmoid(x); },
     -80,
     80,
     0,
     3e-7},
    {"silu_for_bf16",
     Pointwise::silu_for_bf16,
     [](double x) { return x * exact_sigmoid(x); },
     -80,
     80,
     0,
     5e-4},
};

TEST(Math, ErrorsAreAsStated) {
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    for (const auto& c : cases) {
      constexpr int count = 300'001; // not a multiple of any vector
      std::vector<float> x(count), y(count);
      for (int i = 0; i < count; ++i) {
        x[i] = c.low + (c.high - c.low) * static_cast<float>(i) / (count - 1);
      }
      pointwise(c.function, x.data(), y.data(), count);
      double worst = 0;
      float where = 0;
      for (int i = 0; i < count; ++i) {
        double exact = c.exact(x[i]);
        double error = std::abs(y[i] - exact) -
            (c.absolute + c.relative * std::abs(exact));
        if (error > worst) {
          worst = error;
          where = x[i];
        }
      }
      EXPECT_EQ(worst, 0) << target << " " << c.name << "(" << where << ")";
    }
  }
}

TEST(Math, EndsOfTheRange) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (const auto& target : simd_targets()) {
    ScopedSimdTarget scope(target);
    auto at = [](Pointwise function, float x) {
      pointwise(function, &x, &x, 1);
      return x;
    };
    EXPECT_EQ(at(Pointwise::exp, -inf), 0) << target;
    EXPECT_EQ(at(Pointwise::exp, -100), 0) << target;
    EXPECT_EQ(at(Pointwise::exp, 0), 1) << target;
    EXPECT_EQ(at(Pointwise::exp, 89), inf) << target;
    EXPECT_EQ(at(Pointwise::exp, inf), inf) << target;
    EXPECT_EQ(at(Pointwise::sigmoid, -inf), 0) << target;
    EXPECT_EQ(at(Pointwise::sigmoid, inf), 1) << target;
    EXPECT_NEAR(at(Pointwise::tanh, inf), 1, 4e-7) << target;
    EXPECT_NEAR(at(Pointwise::erf, -inf), -1, 4e-7) << target;
    EXPECT_EQ(at(Pointwise::sin, 0), 0) << target;
    for (auto function :
         {Pointwise::exp,
          Pointwise::tanh,
          Pointwise::sigmoid,
          Pointwise::erf,
          Pointwise::sin,
          Pointwise::gelu,
          Pointwise::relu}) {
      EXPECT_TRUE(std::isnan(at(function, NAN)))
          << target << " " << static_cast<int>(function);
    }
  }
}

} // namespace
} // namespace mlx_audio::kernels
