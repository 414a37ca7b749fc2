#include "cli/terminal.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

namespace mlx_audio::cli {

Progress::Progress() : terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  clear();
}

void Progress::show(double fraction, const std::string& note) {
  auto now = std::chrono::steady_clock::now();
  if (!terminal_ || (drawn_ && now - last_ < std::chrono::milliseconds(100))) {
    return;
  }
  last_ = now;
  drawn_ = true;
  std::string bar;
  if (fraction >= 0) {
    constexpr int width = 24;
    int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * width);
    bar = "[" + std::string(full, '#') + std::string(width - full, '.') + "] ";
    char percent[16];
    std::snprintf(percent, sizeof(percent), "%3.0f %%  ", fraction * 100);
    bar += percent;
  }
  std::fprintf(stderr, "\r\033[K%s%s", bar.c_str(), note.c_str());
  std::fflush(stderr);
}

void Progress::clear() {
  if (drawn_) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    drawn_ = false;
  }
}

uint64_t peak_memory_bytes() {
#ifdef __linux__
  // Not getrusage(): its peak is also that of the process that started this
  // one.
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) {
      return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024; // in kB
    }
  }
#endif
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
  return static_cast<uint64_t>(usage.ru_maxrss);
#else
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
#endif
}

} // namespace mlx_audio::cli
