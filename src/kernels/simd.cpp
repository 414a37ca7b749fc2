#include "kernels/simd.h"

#include <stdexcept>

#include <hwy/targets.h>

namespace mlx_audio::kernels {

namespace {

// Our files' targets that the CPU supports.
int64_t supported() {
  hwy::SetSupportedTargetsForTest(0);
  return hwy::SupportedTargets() & HWY_TARGETS;
}

} // namespace

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
      hwy::SetSupportedTargetsForTest(left & -left);
      hwy::GetChosenTarget().Update(left & -left);
      return;
    }
  }
  throw std::invalid_argument("[simd] this CPU does not run " + name + ".");
}

ScopedSimdTarget::~ScopedSimdTarget() {
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

} // namespace mlx_audio::kernels
