// Products with affine-quantized weights: bits x group x shape beside the
// machine's read bandwidth, oneDNN's bf16 products and MLX's own, as tables.
//
//   affine_bench [--ggml FOLDER] [--bits 4,8] [--group 64]
//
// Matrix x vector goes through more weights than caches hold, as a decoder's
// step does. What memory gives changes from second to second: shares are of
// what a loop that only adds up the same bytes takes right before, the median
// of many rounds; ggml's are of the first line's reads. All other figures are
// of the best round. FOLDER holds ggml's shared libraries.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/gemm.h"
#include "kernels/ggml.h"
#include "kernels/linear.h"
#include "kernels/machine.h"
#include "kernels/parallel.h"
#include "kernels/rounds.h"
#include "kernels/simd.h"

namespace mlx_audio::kernels {
namespace {

constexpr double kColdBytes = 160e6; // of weights that a round goes through

struct Shape {
  int in;
  int out;
  const char* name;
};
const std::vector<Shape> vectors = {
    {1024, 3072, "Qwen3-TTS-0.6B gate"},
    {3072, 1024, "Qwen3-TTS-0.6B down"},
    {2048, 6144, "Qwen3-TTS-1.7B gate"},
    {512, 51865, "Whisper-base logits"}};
const Shape matrix = {1024, 3072, ""};
constexpr int kRows = 512;

// What one product reads, at two bytes a scale and a bias.
double weight_bytes(const Shape& s, int bits, int group) {
  return 1.0 * s.in * s.out * (bits + 32.0 / group) / 8;
}

LinearWeight make_weight(
    const Shape& s,
    int bits,
    int group,
    mx::Dtype type = mx::bfloat16) {
  auto w = mx::astype(mx::random::normal({s.out, s.in}), type);
  auto q = mx::quantize(w, group, bits);
  mx::eval(q);
  return {
      .weight = q[0],
      .scales = q[1],
      .biases = q[2],
      .group_size = group,
      .bits = bits};
}

// Copies with memory of their own.
std::vector<LinearWeight> copies_of(const LinearWeight& w, int count) {
  auto copy = [](const mx::array& a) {
    return a.dtype() == mx::uint32
        ? mx::array(a.data<uint32_t>(), a.shape(), a.dtype())
        : mx::array(a.data<mx::bfloat16_t>(), a.shape(), a.dtype());
  };
  std::vector<LinearWeight> copies;
  for (int i = 0; i < count; ++i) {
    copies.push_back(w);
    copies.back().weight = copy(w.weight);
    copies.back().scales = copy(*w.scales);
    copies.back().biases = copy(*w.biases);
  }
  return copies;
}

GemmArgs args_of(const LinearWeight& w, const mx::array& x, mx::array& y) {
  GemmArgs args;
  args.x = x.data<void>();
  args.x_type = *float_type(x.dtype());
  args.m = x.shape(0);
  args.w = {
      .data = w.weight.data<void>(),
      .type = *float_type(w.scales->dtype()),
      .bits = w.bits,
      .group = w.group_size,
      .scales = w.scales->data<void>(),
      .biases = w.biases->data<void>(),
      .rows = w.out_features(),
      .columns = w.in_features()};
  args.y = y.data<void>();
  return args;
}

mx::array random_rows(int rows, int in, mx::Dtype type) {
  auto x = mx::astype(mx::random::normal({rows, in}), type);
  x.eval();
  return x;
}

int copies_for(const Shape& s, int bits, int group) {
  return static_cast<int>(kColdBytes / weight_bytes(s, bits, group)) + 1;
}

struct VectorTimes {
  double seconds; // of one product
  double share; // of reading its weights
};

VectorTimes vector_ours(
    const Shape& s,
    const std::vector<LinearWeight>& copies) {
  auto x = random_rows(1, s.in, mx::bfloat16);
  auto y = mx::zeros({1, s.out}, mx::bfloat16);
  y.eval();
  std::vector<Block> memory;
  for (const auto& w : copies) {
    for (const auto* part : {&w.weight, &*w.scales, &*w.biases}) {
      add_blocks(memory, part->data<void>(), part->nbytes());
    }
  }
  double best = 1e9;
  std::vector<double> shares;
  best_of(0.8, [&] {
    double reads = seconds_of([&] { read_all(memory); });
    double products = seconds_of([&] {
      for (const auto& w : copies) {
        linear_product(args_of(w, x, y));
      }
    });
    best = std::min(best, products);
    shares.push_back(reads / products);
  });
  auto middle = shares.begin() + static_cast<int64_t>(shares.size() / 2);
  std::nth_element(shares.begin(), middle, shares.end());
  return {best / static_cast<double>(copies.size()), *middle};
}

double matrix_ours(const LinearWeight& w, mx::Dtype type) {
  auto x = random_rows(kRows, matrix.in, type);
  auto y = mx::zeros({kRows, matrix.out}, type);
  y.eval();
  auto args = args_of(w, x, y);
  return best_of(0.3, [&] { linear_product(args); });
}

// In f32, which it is faster at.
double mlx(const Shape& s, int bits, int group, int rows) {
  auto w = make_weight(s, bits, group, mx::float32);
  auto x = random_rows(rows, s.in, mx::float32);
  auto round = [&] {
    mx::quantized_matmul(
        x, w.weight, *w.scales, w.biases, true, w.group_size, w.bits)
        .eval();
  };
  return rows > 1 ? seconds_of(round) : best_of(0.05, round);
}

std::vector<int> numbers(const std::string& list) {
  std::vector<int> found;
  for (size_t at = 0; at < list.size();) {
    size_t end = std::min(list.find(',', at), list.size());
    found.push_back(std::stoi(list.substr(at, end - at)));
    at = end + 1;
  }
  return found;
}

void run(
    const std::vector<int>& all_bits,
    const std::vector<int>& groups,
    const std::string& ggml) {
  double bandwidth = read_bandwidth();
  double bf16 = onednn_bf16(kRows, matrix.in, matrix.out);
  double flops = 2e-9 * kRows * matrix.in * matrix.out;
  std::printf(
      "%d threads, %s; reads %.1f GB/s; oneDNN %d.%d bf16 %dx%dx%d: %.0f "
      "GFLOP/s; MLX %s\n\n",
      thread_count(),
      simd_targets().front().c_str(),
      bandwidth,
      dnnl_version()->major,
      dnnl_version()->minor,
      kRows,
      matrix.in,
      matrix.out,
      bf16,
      mx::version());
  std::printf(
      "Matrix x vector, bf16, GB/s (share of reading the same):\n\n"
      "| bits | group |");
  for (const auto& s : vectors) {
    std::printf(" %s %dx%d | MLX |", s.name, s.in, s.out);
  }
  std::printf("\n| --- | --- |");
  for (size_t i = 0; i < vectors.size(); ++i) {
    std::printf(" --- | --- |");
  }
  std::printf("\n");
  for (int bits : all_bits) {
    for (int group : groups) {
      std::printf("| %d | %d |", bits, group);
      for (const auto& s : vectors) {
        auto copies =
            copies_of(make_weight(s, bits, group), copies_for(s, bits, group));
        double bytes = 1e-9 * weight_bytes(s, bits, group);
        auto ours = vector_ours(s, copies);
        std::printf(
            " %.1f (%.0f %%) | %.1f |",
            bytes / ours.seconds,
            100 * ours.share,
            bytes / mlx(s, bits, group, 1));
        std::fflush(stdout);
      }
      std::printf("\n");
    }
  }
  std::printf(
      "\n%d rows x %dx%d, GFLOP/s (share of oneDNN's bf16):\n\n"
      "| bits | group | x bf16 | x f32 | MLX, f32 |\n"
      "| --- | --- | --- | --- | --- |\n",
      kRows,
      matrix.in,
      matrix.out);
  for (int bits : all_bits) {
    for (int group : groups) {
      auto w = make_weight(matrix, bits, group);
      double half = flops / matrix_ours(w, mx::bfloat16);
      double full = flops / matrix_ours(w, mx::float32);
      std::printf(
          "| %d | %d | %.0f (%.0f %%) | %.0f (%.0f %%) | %.1f |\n",
          bits,
          group,
          half,
          100 * half / bf16,
          full,
          100 * full / bf16,
          flops / mlx(matrix, bits, group, kRows));
      std::fflush(stdout);
    }
  }
  if (ggml.empty()) {
    return;
  }
  Ggml library(ggml);
  std::printf("\nggml %s, x f32:\n\n| type |", library.version().c_str());
  for (const auto& s : vectors) {
    std::printf(" %dx%d GB/s |", s.in, s.out);
  }
  std::printf(" %d rows GFLOP/s |\n| --- |", kRows);
  for (size_t i = 0; i <= vectors.size(); ++i) {
    std::printf(" --- |");
  }
  std::printf("\n");
  for (const auto& type : ggml_types) {
    std::printf("| %s |", type.name);
    for (const auto& s : vectors) {
      double bytes = type.bits * s.in * s.out / 8;
      int copies = static_cast<int>(kColdBytes / bytes) + 1;
      double rate = 1e-9 * bytes /
          library.seconds(type, s.in, s.out, 1, copies, thread_count());
      std::printf(" %.1f (%.0f %%) |", rate, 100 * rate / bandwidth);
    }
    double rate = flops /
        library.seconds(type, matrix.in, matrix.out, kRows, 1, thread_count());
    std::printf(" %.0f (%.0f %%) |\n", rate, 100 * rate / bf16);
    std::fflush(stdout);
  }
}

} // namespace
} // namespace mlx_audio::kernels

int main(int count, char** arguments) {
  std::vector<int> bits = {8, 6, 5, 4, 3, 2};
  std::vector<int> groups = {32, 64, 128};
  std::string ggml;
  for (int i = 1; i + 1 < count; i += 2) {
    std::string flag = arguments[i];
    std::string value = arguments[i + 1];
    if (flag == "--bits") {
      bits = mlx_audio::kernels::numbers(value);
    } else if (flag == "--group") {
      groups = mlx_audio::kernels::numbers(value);
    } else if (flag == "--ggml") {
      ggml = value;
    } else {
      std::fprintf(stderr, "affine_bench: what is %s?\n", flag.c_str());
      return 2;
    }
  }
  mlx_audio::kernels::run(bits, groups, ggml);
}
