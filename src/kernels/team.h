// Threads that go through many short loops together. Between the loops they
// wait for each other in a spin, which costs a tenth of what waking a pool
// does: a decoder's step has hundreds of loops of some 10 us.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace mlx_audio::kernels {

class Team {
 public:
  explicit Team(int threads)
      : threads_(threads), shares_(std::make_unique<Share[]>(threads)) {}

  int threads() const {
    return threads_;
  }

  /// Called by every thread: function(i) for i in [0, count), each once, and
  /// a wait until all are done. A thread starts with its own share, so that it
  /// reads memory in sequence, and then helps the others.
  template <class Function>
  void loop(int thread, int64_t count, const Function& function) {
    for (int t = 0; t < threads_; ++t) {
      int owner = (thread + t) % threads_;
      int64_t begin = count * owner / threads_;
      int64_t size = count * (owner + 1) / threads_ - begin;
      std::atomic<int64_t>& next = shares_[owner].next;
      while (next.load(std::memory_order_relaxed) < size) {
        int64_t i = next.fetch_add(1, std::memory_order_relaxed);
        if (i < size) {
          function(begin + i);
        }
      }
    }
    wait();
  }

 private:
  void wait() {
    int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      for (int t = 0; t < threads_; ++t) {
        shares_[t].next.store(0, std::memory_order_relaxed);
      }
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    // Where a thread has lost its core, spinning on would keep it away.
    constexpr int spins = 4096;
    for (int i = 0; round_.load(std::memory_order_acquire) == round; ++i) {
      if (i < spins) {
        pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
  };

  int threads_;
  std::unique_ptr<Share[]> shares_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> round_{0};
};

/// Calls function(team, thread) in every thread of the pool at once.
void run_team(void (*function)(const void*, Team&, int), const void* argument);

template <class Function>
void run_team(const Function& function) {
  run_team(
      [](const void* f, Team& team, int thread) {
        (*static_cast<const Function*>(f))(team, thread);
      },
      &function);
}

} // namespace mlx_audio::kernels
