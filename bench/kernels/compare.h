// Registers an op twice: ours, and its composition of MLX ops.
#pragma once

#include <functional>
#include <string>

#include <benchmark/benchmark.h>

#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

/// `name` says shapes; `flops` are of one call. Ours runs three rounds at
/// least; MLX's, which may take seconds, once.
inline void
compare(const std::string& name, double flops, std::function<mx::array()> op) {
  for (bool own : {true, false}) {
    auto* line = benchmark::RegisterBenchmark(
        ((own ? "ours/" : "mlx/") + name).c_str(),
        [op, own, flops](benchmark::State& state) {
          auto run = [&] {
            if (own) {
              op().eval();
            } else {
              ScopedMlxOps composition;
              op().eval();
            }
          };
          if (own) {
            run(); // packs weights
          }
          for (auto _ : state) {
            run();
          }
          if (flops > 0) {
            state.counters["GFLOP/s"] = benchmark::Counter(
                flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
          }
        });
    line->UseRealTime()->Unit(benchmark::kMillisecond);
    if (own) {
      line->MinTime(0.3);
    } else {
      line->Iterations(1);
    }
  }
}

inline mx::array random(const mx::Shape& shape, int seed = 1) {
  auto a = mx::random::normal(shape, mx::float32, mx::random::key(seed));
  mx::eval(a);
  return a;
}

} // namespace mlx_audio::kernels
