// MLX_AUDIO_PROFILE=1 prints, at exit, a table of our ops: calls, time, rates
// and share.
#pragma once

#include <chrono>

namespace mlx_audio::kernels {

/// Adds the time of its life to the op's line. Costs nothing when profiling is
/// off.
class ProfileScope {
 public:
  ProfileScope(const char* name, double flops, double bytes);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  const char* name_; // null when profiling is off
  double flops_;
  double bytes_;
  std::chrono::steady_clock::time_point start_;
};

} // namespace mlx_audio::kernels
