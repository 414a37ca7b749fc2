// Which instruction sets our Highway kernels are compiled for. A kernel file
// starts with
//
//   #include "kernels/simd.h"
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/<this file>"
//   #include <hwy/foreach_target.h>
//   #include <hwy/highway.h>
//   #include "kernels/math-inl.h" // if needed
//
// keeps its code between HWY_BEFORE_NAMESPACE() and HWY_AFTER_NAMESPACE() in
// mlx_audio::kernels::HWY_NAMESPACE, and exports functions under #if HWY_ONCE.
// The best set that the CPU has is chosen at the first call.
#pragma once

// SSSE3 adds nothing to SSE4. SVE's vectors have no fixed size and cannot form
// arrays of registers; such CPUs run NEON.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

#include <cstdint>
#include <string>
#include <vector>

namespace mlx_audio::kernels {

/// The instruction sets that this CPU runs, best first ("AMX", "AVX2", ...).
std::vector<std::string> simd_targets();

/// True if kernels may use AVX-512's byte products and permutations (VNNI,
/// VBMI; Highway's AVX3_DL).
bool runs_vnni();

/// True if kernels may use Intel's tile products (kernels/amx.h): the CPU has
/// those of bf16 and bytes, and the system lets this process use them.
bool runs_amx();

/// Runs kernels with one instruction set while it lives, in all threads (for
/// tests).
class ScopedSimdTarget {
 public:
  explicit ScopedSimdTarget(const std::string& name);
  ~ScopedSimdTarget();
  ScopedSimdTarget(const ScopedSimdTarget&) = delete;
  ScopedSimdTarget& operator=(const ScopedSimdTarget&) = delete;
};

} // namespace mlx_audio::kernels
