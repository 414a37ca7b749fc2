// Memory that a thread keeps between calls of kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "kernels/aligned.h"

namespace mlx_audio::kernels {

/// An aligned buffer that grows. Make one `thread_local` a use.
class Scratch {
 public:
  /// At least `count` floats; what they held is lost when the buffer grows.
  float* floats(int64_t count) {
    auto size = static_cast<size_t>(count);
    if (data_ == nullptr || size > size_) {
      data_.reset();
      data_ = allocate_aligned<float>(size);
      size_ = size;
      prefer_huge_pages();
    }
    return data_.get();
  }

 private:
  // Large buffers are touched whole: two megabytes a page fault, not four
  // kilobytes, where the system has such pages.
  void prefer_huge_pages() {
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t kPage = 1 << 21;
    auto begin = reinterpret_cast<uintptr_t>(data_.get());
    uintptr_t end = (begin + size_ * sizeof(float)) / kPage * kPage;
    begin = (begin + kPage - 1) / kPage * kPage;
    if (end > begin) {
      madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
    }
#endif
  }

  hwy::AlignedFreeUniquePtr<float[]> data_;
  size_t size_ = 0;
};

} // namespace mlx_audio::kernels
