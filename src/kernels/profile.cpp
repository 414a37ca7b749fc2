#include "kernels/profile.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace mlx_audio::kernels {

namespace {

struct Line {
  long calls = 0;
  double seconds = 0;
  double flops = 0;
  double bytes = 0;
};

class Profile {
 public:
  static Profile* instance() {
    static Profile* profile = []() -> Profile* {
      const char* value = std::getenv("MLX_AUDIO_PROFILE");
      if (value == nullptr || *value == '\0' || *value == '0') {
        return nullptr;
      }
      std::atexit([] { instance()->print(); });
      return new Profile();
    }();
    return profile;
  }

  void add(const char* name, double seconds, double flops, double bytes) {
    std::lock_guard lock(mutex_);
    Line& line = lines_[name];
    ++line.calls;
    line.seconds += seconds;
    line.flops += flops;
    line.bytes += bytes;
  }

 private:
  void print() {
    std::lock_guard lock(mutex_);
    std::vector<std::pair<std::string, Line>> rows(
        lines_.begin(), lines_.end());
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
      return a.second.seconds > b.second.seconds;
    });
    double total = 0;
    for (const auto& [name, line] : rows) {
      total += line.seconds;
    }
    std::fprintf(
        stderr,
        "%-28s %8s %10s %9s %8s %7s\n",
        "op",
        "calls",
        "ms",
        "GFLOP/s",
        "GB/s",
        "share");
    for (const auto& [name, line] : rows) {
      std::fprintf(
          stderr,
          "%-28s %8ld %10.2f %9.1f %8.1f %6.1f%%\n",
          name.c_str(),
          line.calls,
          line.seconds * 1e3,
          line.flops / line.seconds * 1e-9,
          line.bytes / line.seconds * 1e-9,
          100 * line.seconds / total);
    }
    std::fprintf(stderr, "%-28s %8s %10.2f\n", "total", "", total * 1e3);
  }

  std::mutex mutex_;
  std::map<std::string, Line> lines_;
};

} // namespace

ProfileScope::ProfileScope(const char* name, double flops, double bytes)
    : name_(Profile::instance() == nullptr ? nullptr : name),
      flops_(flops),
      bytes_(bytes) {
  if (name_ != nullptr) {
    start_ = std::chrono::steady_clock::now();
  }
}

ProfileScope::~ProfileScope() {
  if (name_ != nullptr) {
    std::chrono::duration<double> time =
        std::chrono::steady_clock::now() - start_;
    Profile::instance()->add(name_, time.count(), flops_, bytes_);
  }
}

} // namespace mlx_audio::kernels
