#include "kernels/cpu_op.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

#include <malloc.h>

#include "kernels/profile.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/primitives.h"

namespace mlx_audio::kernels {

namespace {

thread_local bool force_mlx_ops = false;

bool kernels_enabled() {
  static const bool enabled = [] {
    const char* value = std::getenv("MLX_AUDIO_KERNELS");
    return value == nullptr || std::strcmp(value, "mlx") != 0;
  }();
  return enabled;
}

class CpuOp : public mx::Primitive {
 public:
  CpuOp(
      mx::Stream stream,
      const char* name,
      CpuFunction function,
      OpCost cost,
      int reusable)
      : mx::Primitive(stream),
        name_(name),
        function_(std::move(function)),
        cost_(cost),
        reusable_(reusable) {}

  void eval_cpu(
      const std::vector<mx::array>& inputs,
      std::vector<mx::array>& outputs) override {
    for (auto& out : outputs) {
      if (reusable_ != no_input && inputs[reusable_].is_donatable() &&
          inputs[reusable_].flags().row_contiguous &&
          inputs[reusable_].data_size() == out.size()) {
        out.copy_shared_buffer(inputs[reusable_]);
      } else {
        out.set_data(mx::allocator::malloc(out.nbytes()));
      }
    }
    // MLX keeps the buffers alive until the task is done; weak copies leave the
    // reference counts as they are, so that later ops may reuse memory.
    std::vector<mx::array> in;
    std::vector<mx::array> out;
    in.reserve(inputs.size());
    out.reserve(outputs.size());
    for (const auto& a : inputs) {
      in.push_back(mx::array::unsafe_weak_copy(a));
    }
    for (auto& a : outputs) {
      out.push_back(mx::array::unsafe_weak_copy(a));
    }
    mx::cpu::get_command_encoder(stream()).dispatch(
        [function = function_,
         name = name_,
         cost = cost_,
         in = std::move(in),
         out = std::move(out)]() mutable {
          ProfileScope scope(name, cost.flops, cost.bytes);
          function(in, out);
        });
  }

  void eval_gpu(
      const std::vector<mx::array>& /* inputs */,
      std::vector<mx::array>& /* outputs */) override {
    throw std::logic_error(std::string("[") + name_ + "] CPU op on a GPU.");
  }

  const char* name() const override {
    return name_;
  }

 private:
  const char* name_;
  CpuFunction function_;
  OpCost cost_;
  int reusable_;
};

} // namespace

namespace {

std::vector<mx::array> make_op(
    const char* name,
    const std::vector<mx::array>& inputs,
    const std::vector<mx::Shape>& shapes,
    const std::vector<mx::Dtype>& dtypes,
    CpuFunction function,
    OpCost cost,
    Layout layout,
    int reusable) {
  std::vector<mx::array> arguments;
  arguments.reserve(inputs.size());
  for (const auto& a : inputs) {
    arguments.push_back(layout == Layout::any ? a : mx::contiguous(a));
  }
  auto stream = mx::default_stream(mx::Device(mx::Device::cpu));
  return mx::array::make_arrays(
      shapes,
      dtypes,
      std::make_shared<CpuOp>(
          stream, name, std::move(function), cost, reusable),
      arguments);
}

} // namespace

std::vector<mx::array> cpu_op(
    const char* name,
    const std::vector<mx::array>& inputs,
    const std::vector<mx::Shape>& shapes,
    const std::vector<mx::Dtype>& dtypes,
    CpuFunction function,
    OpCost cost /* = {} */,
    Layout layout /* = contiguous */) {
  return make_op(
      name,
      inputs,
      shapes,
      dtypes,
      std::move(function),
      cost,
      layout,
      no_input);
}

mx::array cpu_op(
    const char* name,
    const std::vector<mx::array>& inputs,
    const mx::Shape& shape,
    mx::Dtype dtype,
    CpuFunction function,
    OpCost cost /* = {} */,
    Layout layout /* = contiguous */,
    int reusable /* = no_input */) {
  return make_op(
      name,
      inputs,
      {shape},
      {dtype},
      std::move(function),
      cost,
      layout,
      reusable)[0];
}

void run_as_cpu_op(
    const char* name,
    const std::function<void()>& function,
    OpCost cost /* = {} */) {
  std::exception_ptr error;
  auto done = cpu_op(
      name,
      {},
      {1},
      mx::float32,
      [&](const std::vector<mx::array>& /* in */, std::vector<mx::array>& out) {
        try {
          function();
        } catch (...) {
          error = std::current_exception();
        }
        out[0].data<float>()[0] = 0;
      },
      cost);
  done.eval();
  if (error) {
    std::rethrow_exception(error);
  }
}

bool use_cpu_kernels() {
  return kernels_enabled() && !force_mlx_ops &&
      mx::default_device() == mx::Device(mx::Device::cpu);
}

void settle(const mx::array& x) {
  if (mx::default_device() == mx::Device(mx::Device::cpu)) {
    mx::eval(x);
  }
}

void keep_freed_memory() {
#ifdef __GLIBC__
  // Blocks up to 1 GiB come from the heap, which keeps as much: given back to
  // the system between the chunks of a codec, it would be paged in each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_ARENA_MAX, 2);
#endif
}

ScopedMlxOps::ScopedMlxOps() : previous_(std::exchange(force_mlx_ops, true)) {}

ScopedMlxOps::~ScopedMlxOps() {
  force_mlx_ops = previous_;
}

} // namespace mlx_audio::kernels
