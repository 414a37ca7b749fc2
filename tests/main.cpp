// main() of every unit and parity test: random arrays are the same in each run.
#include <gtest/gtest.h>

#include "mlx/random.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  // MLX seeds itself by the clock.
  mlx::core::random::seed(0);
  return RUN_ALL_TESTS();
}
