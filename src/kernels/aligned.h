#pragma once

#include <cstddef>
#include <new>

#include <hwy/aligned_allocator.h>

namespace mlx_audio::kernels {

/// Memory for vectors. @throws std::bad_alloc
template <class T>
hwy::AlignedFreeUniquePtr<T[]> allocate_aligned(size_t count) {
  auto data = hwy::AllocateAligned<T>(count);
  if (data == nullptr) {
    throw std::bad_alloc();
  }
  return data;
}

} // namespace mlx_audio::kernels
