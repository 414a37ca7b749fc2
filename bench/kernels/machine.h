// What the machine can do, for lines that say how near a kernel comes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/parallel.h"
#include "kernels/rounds.h"

namespace mlx_audio::kernels {

struct Block {
  const uint32_t* words;
  int64_t count;
};

/// Adds blocks of at most a megabyte.
inline void
add_blocks(std::vector<Block>& blocks, const void* data, size_t bytes) {
  const auto* words = static_cast<const uint32_t*>(data);
  auto count = static_cast<int64_t>(bytes / 4);
  for (int64_t i = 0; i < count; i += 1 << 18) {
    blocks.push_back({words + i, std::min<int64_t>(count - i, 1 << 18)});
  }
}

/// Reads all of `blocks`, but for less than 256 bytes of each, on all threads.
inline void read_all(const std::vector<Block>& blocks) {
  parallel_for(static_cast<int64_t>(blocks.size()), 1, [&](int64_t i) {
    uint32_t sums[64] = {};
    const uint32_t* p = blocks[static_cast<size_t>(i)].words;
    for (int64_t j = 0; j + 64 <= blocks[static_cast<size_t>(i)].count;
         j += 64) {
      for (int l = 0; l < 64; ++l) {
        sums[l] += p[j + l];
      }
    }
    benchmark::DoNotOptimize(sums);
  });
}

/// GB/s that memory is read at.
inline double read_bandwidth() {
  std::vector<uint32_t> data(64 << 20, 1);
  std::vector<Block> blocks;
  add_blocks(blocks, data.data(), 4 * data.size());
  return 4e-9 * static_cast<double>(data.size()) /
      best_of(0.3, [&] { read_all(blocks); });
}

/// GFLOP/s of oneDNN's bf16 product [m, k] x [k, n], weights packed before.
inline double onednn_bf16(int m, int k, int n) {
  using namespace dnnl;
  engine cpu(engine::kind::cpu, 0);
  stream s(cpu);
  using Type = memory::data_type;
  memory::desc x({m, k}, Type::bf16, memory::format_tag::ab);
  memory::desc w({k, n}, Type::bf16, memory::format_tag::any);
  memory::desc y({m, n}, Type::bf16, memory::format_tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  matmul::primitive_desc plan(cpu, x, w, y);
#else
  matmul::primitive_desc plan(matmul::desc(x, w, y), cpu);
#endif
  std::vector<memory> memories;
  for (const auto& desc : {x, plan.weights_desc(), y}) {
    memories.emplace_back(desc, cpu);
    std::memset(memories.back().get_data_handle(), 0, desc.get_size());
  }
  matmul product(plan);
  double seconds = best_of(0.5, [&] {
    product.execute(
        s,
        {{DNNL_ARG_SRC, memories[0]},
         {DNNL_ARG_WEIGHTS, memories[1]},
         {DNNL_ARG_DST, memories[2]}});
    s.wait();
  });
  return 2e-9 * m * k * n / seconds;
}

} // namespace mlx_audio::kernels
