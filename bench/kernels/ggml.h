// ggml's products of quantized matrices, out of its shared libraries.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/rounds.h"

namespace mlx_audio::kernels {

struct GgmlType {
  const char* name;
  int id; // of enum ggml_type
  double bits; // a weight, with scales
};
inline const std::vector<GgmlType> ggml_types = {
    {"Q8_0", 8, 8.5},
    {"Q6_K", 14, 6.5625},
    {"Q5_K", 13, 5.5},
    {"Q4_0", 2, 4.5},
    {"Q4_K", 12, 4.5},
    {"Q3_K", 11, 3.4375}};

/// The few functions of ggml.h, as they have been since 2023.
class Ggml {
 public:
  /// @param folder libggml-base.so, libggml-cpu.so
  explicit Ggml(const std::string& folder) {
    base_ = open(folder + "/libggml-base.so");
    cpu_ = open(folder + "/libggml-cpu.so");
    call<void()>(cpu_, "ggml_cpu_init")();
  }

  std::string version() const {
    return call<const char*()>(base_, "ggml_version")();
  }

  /// Of one product x [rows, in] W^T, in a graph of `copies` of W.
  double seconds(
      const GgmlType& type,
      int64_t in,
      int64_t out,
      int64_t rows,
      int copies,
      int threads) const {
    auto new_tensor =
        call<void*(void*, int, int64_t, int64_t)>(base_, "ggml_new_tensor_2d");
    auto data = call<float*(void*)>(base_, "ggml_get_data_f32");
    auto raw = call<void*(void*)>(base_, "ggml_get_data");
    auto bytes = static_cast<size_t>(type.bits * in * out / 8);
    size_t output = sizeof(float) * static_cast<size_t>(rows * out);
    Parameters parameters{
        static_cast<size_t>(copies) * (bytes + output + 4096) +
            (size_t{64} << 20),
        nullptr,
        false};
    void* context = call<void*(Parameters)>(base_, "ggml_init")(parameters);
    void* graph = call<void*(void*)>(base_, "ggml_new_graph")(context);
    std::vector<float> w(static_cast<size_t>(in * out));
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : w) {
      value = normal(random);
    }
    void* x = new_tensor(context, 0, in, rows);
    std::copy_n(w.data(), in * rows, data(x));
    for (int i = 0; i < copies; ++i) {
      void* packed = new_tensor(context, type.id, in, out);
      if (i == 0) {
        call<size_t(
            int, const float*, void*, int64_t, int64_t, int64_t, const float*)>(
            base_, "ggml_quantize_chunk")(
            type.id, w.data(), raw(packed), 0, out, in, nullptr);
        first_ = raw(packed);
      } else {
        std::copy_n(
            static_cast<const uint8_t*>(first_),
            bytes,
            static_cast<uint8_t*>(raw(packed)));
      }
      void* y = call<void*(void*, void*, void*)>(base_, "ggml_mul_mat")(
          context, packed, x);
      call<void(void*, void*)>(base_, "ggml_build_forward_expand")(graph, y);
    }
    auto compute =
        call<int(void*, void*, int)>(cpu_, "ggml_graph_compute_with_ctx");
    auto used = call<size_t(const void*)>(base_, "ggml_used_mem");
    // Each call takes working memory of the context.
    size_t before = used(context);
    compute(context, graph, threads);
    size_t each = used(context) - before + 4096;
    int most = static_cast<int>((size_t{48} << 20) / each);
    double best = 1e9;
    double sum = 0;
    for (int i = 0; i < 3 || (i < most && sum < 0.4); ++i) {
      double took = seconds_of([&] { compute(context, graph, threads); });
      best = std::min(best, took);
      sum += took;
    }
    call<void(void*)>(base_, "ggml_free")(context);
    return best / copies;
  }

 private:
  struct Parameters {
    size_t size;
    void* buffer;
    bool no_alloc;
  };

  static void* open(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      throw std::runtime_error(dlerror());
    }
    return library;
  }

  template <class Function>
  static Function* call(void* library, const char* name) {
    void* found = dlsym(library, name);
    if (found == nullptr) {
      throw std::runtime_error(std::string("ggml has no ") + name);
    }
    return reinterpret_cast<Function*>(found);
  }

  void* base_;
  void* cpu_;
  mutable const void* first_ = nullptr;
};

} // namespace mlx_audio::kernels
