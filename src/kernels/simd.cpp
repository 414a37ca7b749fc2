#include "kernels/simd.h"

#include <atomic>
#include <stdexcept>

#include <hwy/targets.h>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

bool amx_supported() {
#if defined(__x86_64__) && defined(__linux__)
  // Linux saves tiles only for processes that ask (arch_prctl(2)).
  constexpr int kRequestPermission = 0x1023; // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18; // XFEATURE_XTILEDATA
  static const bool runs = __builtin_cpu_supports("amx-tile") &&
      __builtin_cpu_supports("amx-bf16") &&
      __builtin_cpu_supports("amx-int8") && (supported() & kVnni) != 0 &&
      syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return runs;
#else
  return false;
#endif
}

std::atomic<bool>& vnni() {
  static std::atomic<bool> runs{(supported() & kVnni) != 0};
  return runs;
}

std::atomic<bool>& amx() {
  static std::atomic<bool> runs{amx_supported()};
  return runs;
}

// Not one of Highway's.
constexpr const char* kAmx = "AMX";

// Holds kernels to one target.
void hold_to(int64_t target) {
  vnni() = target == kVnni;
  amx() = false;
  target = target == kVnni ? kVnni | kVnniBase : target;
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(target);
}

} // namespace

bool runs_vnni() {
  return vnni().load(std::memory_order_relaxed);
}

bool runs_amx() {
  return amx().load(std::memory_order_relaxed);
}

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  if (amx_supported()) {
    names.emplace_back(kAmx);
  }
  for (int64_t left = supported(); left != 0; left &= left - 1) {
    names.emplace_back(hwy::TargetName(left & -left));
  }
  return names;
}

ScopedSimdTarget::ScopedSimdTarget(const std::string& name) {
  if (name == kAmx && amx_supported()) {
    hold_to(kVnni);
    amx() = true;
    return;
  }
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
  amx() = amx_supported();
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

} // namespace mlx_audio::kernels
