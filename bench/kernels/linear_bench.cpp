// linear: our kernels, oneDNN and MLX's own. Matrix-vector lines show GB/s of
// weights beside the machine's read bandwidth; matrix-matrix lines GFLOP/s.
#include "kernels/linear.h"

#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "kernels/cpu_op.h"
#include "kernels/gemm.h"
#include "kernels/machine.h"

namespace mlx_audio::kernels {
namespace {

struct Storage {
  std::string name;
  mx::Dtype type;
  int bits;
};

const std::vector<Storage> storages = {
    {"f32", mx::float32, 0},
    {"bf16", mx::bfloat16, 0},
    {"f16", mx::float16, 0},
    {"q8", mx::bfloat16, 8},
    {"q6", mx::bfloat16, 6},
    {"q5", mx::bfloat16, 5},
    {"q4", mx::bfloat16, 4},
    {"q3", mx::bfloat16, 3},
    {"q2", mx::bfloat16, 2}};

LinearWeight make_weight(const Storage& s, int out, int in) {
  auto w = mx::astype(mx::random::normal({out, in}), s.type);
  LinearWeight result{.weight = w};
  if (s.bits != 0) {
    auto q = mx::quantize(w, 64, s.bits);
    result.weight = q[0];
    result.scales = q[1];
    result.biases = q[2];
    result.group_size = 64;
    result.bits = s.bits;
    mx::eval(*result.scales, *result.biases);
  }
  mx::eval(result.weight);
  return result;
}

enum class Way { ours, mlx };

void run(
    benchmark::State& state,
    const Storage& s,
    Way way,
    int rows,
    int out,
    int in) {
  auto w = make_weight(s, out, in);
  auto x = mx::astype(mx::random::normal({rows, in}), s.type);
  mx::eval(x);
  for (auto _ : state) {
    if (way == Way::mlx) {
      ScopedMlxOps composition;
      linear(x, w).eval();
    } else {
      linear(x, w).eval();
    }
  }
  double bytes = s.bits != 0
      ? 1.0 * out * in * (s.bits + 0.5) / 8
      : 1.0 * out * in * static_cast<double>(mx::size_of(s.type));
  auto per_second = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, per_second);
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * rows * out * in, per_second);
}

// What the weights of matrix-vector products can at best be read at.
void read_bandwidth(benchmark::State& state) {
  std::vector<uint32_t> data(64 << 20, 1);
  std::vector<Block> blocks;
  add_blocks(blocks, data.data(), 4 * data.size());
  for (auto _ : state) {
    read_all(blocks);
  }
  state.counters["GB/s"] = benchmark::Counter(
      4e-9 * static_cast<double>(data.size()),
      benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(read_bandwidth)->UseRealTime()->Unit(benchmark::kMillisecond);

const bool registered = [] {
  auto add = [](const Storage& s, Way way, int rows, int out, int in) {
    std::string name = std::string(way == Way::ours ? "ours/" : "mlx/") +
        s.name + "/" + std::to_string(rows) + "x" + std::to_string(in) + "x" +
        std::to_string(out);
    benchmark::RegisterBenchmark(
        name.c_str(),
        [=](benchmark::State& state) { run(state, s, way, rows, out, in); })
        ->UseRealTime()
        ->MeasureProcessCPUTime()
        ->Unit(benchmark::kMicrosecond)
        ->MinTime(0.1);
  };
  for (const auto& s : storages) {
    add(s, Way::ours, 1, 1024, 1024); // in the caches
    add(s, Way::ours, 1, 51865, 2048); // beyond them
    for (int rows : {4, 8, 16, 32, 64, 512}) {
      add(s, Way::ours, rows, 1024, 1024);
    }
    add(s, Way::mlx, 1, 1024, 1024);
    add(s, Way::mlx, 32, 1024, 1024);
  }
  return true;
}();

} // namespace
} // namespace mlx_audio::kernels
