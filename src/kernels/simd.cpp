#include "kernels/simd.h"

#include <atomic>
#include <stdexcept>

#include <hwy/targets.h>

namespace mlx_audio::kernels {

namespace {

// What few files have beyond our other targets; they run AVX3 otherwise.
#if HWY_ARCH_X86
constexpr int64_t kVnni = HWY_AVX3_DL;
constexpr int64_t kVnniBase = HWY_AVX3;
#else
constexpr int64_t kVnni = 0;
constexpr int64_t kVnniBase = 0;
#endif

// Our files' targets that the CPU supports.
int64_t supported() {
  hwy::SetSupportedTargetsForTest(0);
  return hwy::SupportedTargets() & (HWY_TARGETS | kVnni);
}

std::atomic<bool>& vnni() {
  static std::atomic<bool> runs{(supported() & kVnni) != 0};
  return runs;
}

// Holds kernels to one target.
void hold_to(int64_t target) {
  vnni() = target == kVnni;
  target = target == kVnni ? kVnni | kVnniBase : target;
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(target);
}

} // namespace

bool runs_vnni() {
  return vnni().load(std::memory_order_relaxed);
}

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (int64_t left = supported(); left != 0; left &= left - 1) {
    names.emplace_back(hwy::TargetName(left & -left));
  }
  return names;
}

ScopedSimdTarget::ScopedSimdTarget(const std::string& name) {
  for (int64_t left = supported(); left != 0; left &= left - 1) {
    if (name == hwy::TargetName(left & -left)) {
      hold_to(left & -left);
      return;
    }
  }
  throw std::invalid_argument("[simd] this CPU does not run " + name + ".");
}

ScopedSimdTarget::~ScopedSimdTarget() {
  vnni() = (supported() & kVnni) != 0;
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

} // namespace mlx_audio::kernels
