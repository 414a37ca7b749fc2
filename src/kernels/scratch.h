// Memory that a thread keeps between calls of kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include <hwy/aligned_allocator.h>

namespace mlx_audio::kernels {

/// An aligned buffer that grows. Make one `thread_local` a use.
class Scratch {
 public:
  /// At least `count` floats; what they held is lost when the buffer grows.
  float* floats(int64_t count) {
    auto size = static_cast<size_t>(count);
    if (size > size_) {
      data_.reset();
      data_ = hwy::AllocateAligned<float>(size);
      size_ = size;
    }
    return data_.get();
  }

 private:
  hwy::AlignedFreeUniquePtr<float[]> data_;
  size_t size_ = 0;
};

} // namespace mlx_audio::kernels
