// Weights as AVX-512's dot product of bf16 pairs reads them.
#pragma once

#include <cstdint>
#include <memory>

#include <hwy/aligned_allocator.h>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

namespace mx = mlx::core;

/// Columns of a panel: two vectors of 16 lanes.
constexpr int64_t kPairedColumns = 32;

/// [out, in] as panels [out / 32][in / 2][32] of pairs of neighbours along
/// `in`, rounded to nearest; zeros beyond the ends. Copies share it.
class PairedWeight {
 public:
  PairedWeight() = default;
  explicit PairedWeight(const mx::array& weight);

  int64_t out() const {
    return out_;
  }
  int64_t in() const {
    return in_;
  }
  /// Pairs a panel's row of the product has: in / 2.
  int64_t depth() const {
    return (in_ + 1) / 2;
  }
  const uint32_t* panel(int64_t index) const {
    return data_.get() + index * depth() * kPairedColumns;
  }

 private:
  int64_t out_ = 0;
  int64_t in_ = 0;
  std::shared_ptr<uint32_t[]> data_;
};

} // namespace mlx_audio::kernels
