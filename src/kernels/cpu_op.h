// A CPU kernel as a node of MLX's graph. Every op of this folder is defined as
// a composition of MLX ops; on the CPU it is replaced by a node made here.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// What an op costs, for the profile: arithmetic and memory traffic.
struct OpCost {
  double flops = 0;
  double bytes = 0;
};

/// What a kernel can read.
enum class Layout {
  contiguous, ///< inputs are made row-contiguous first
  any, ///< inputs come as they are; the kernel follows their strides
};

constexpr int no_input = -1;

/// Computes outputs from inputs. Outputs are row-contiguous and allocated. It
/// runs on MLX's stream thread and must not throw.
using CpuFunction = std::function<void(
    const std::vector<mx::array>& inputs,
    std::vector<mx::array>& outputs)>;

/// A lazy node that runs `function` on the CPU stream. `name` must outlive the
/// program (a literal).
std::vector<mx::array> cpu_op(
    const char* name,
    const std::vector<mx::array>& inputs,
    const std::vector<mx::Shape>& shapes,
    const std::vector<mx::Dtype>& dtypes,
    CpuFunction function,
    OpCost cost = {},
    Layout layout = Layout::contiguous);

/// The same with one output. `reusable` is the index of an input of the
/// output's size and type whose memory the output may take when nobody else
/// holds it: the kernel then reads and writes the same memory.
mx::array cpu_op(
    const char* name,
    const std::vector<mx::array>& inputs,
    const mx::Shape& shape,
    mx::Dtype dtype,
    CpuFunction function,
    OpCost cost = {},
    Layout layout = Layout::contiguous,
    int reusable = no_input);

/// Runs `function` at once where CPU ops run, so that it shares their thread
/// pool, and waits. What it throws is thrown here.
void run_as_cpu_op(
    const char* name,
    const std::function<void()>& function,
    OpCost cost = {});

/// True if ops run as our CPU kernels: the default device is the CPU and
/// MLX_AUDIO_KERNELS is not "mlx".
bool use_cpu_kernels();

/// Computes `x` now if ops run on the CPU, and does nothing elsewhere. MLX
/// gives results their memory when it schedules them, up to a hundred ops ahead
/// of the thread that computes: without stops, large sequences would all be
/// alive at once.
void settle(const mx::array& x);

/// Keeps freed memory in the process, so that large intermediates do not cost
/// page faults each time (glibc's malloc only). For programs and model loaders.
void keep_freed_memory();

/// Forces the composition of MLX ops while it lives (for tests and benches).
class ScopedMlxOps {
 public:
  ScopedMlxOps();
  ~ScopedMlxOps();
  ScopedMlxOps(const ScopedMlxOps&) = delete;
  ScopedMlxOps& operator=(const ScopedMlxOps&) = delete;

 private:
  bool previous_;
};

} // namespace mlx_audio::kernels
