// What commands tell people while they work: only on a terminal, on standard
// error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace mlx_audio::cli {

/// One line that is redrawn in place; nothing at all if standard error is no
/// terminal.
class Progress {
 public:
  Progress();
  ~Progress(); // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// @param fraction 0..1 of the work, or negative if unknown
  void show(double fraction, const std::string& note);
  void clear();

 private:
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// Seconds since it was made.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(
               std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ =
      std::chrono::steady_clock::now();
};

/// Largest resident size of this process so far, in bytes.
uint64_t peak_memory_bytes();

} // namespace mlx_audio::cli
