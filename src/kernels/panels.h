// Weights packed in panels for the register-tiled matrix product.
#pragma once

#include <cstddef>
#include <cstdint>

#include <hwy/aligned_allocator.h>

namespace mlx_audio::kernels {

/// Output channels a panel: two vectors of the best instruction set here.
int panel_width();

/// `count` matrices of [depth, out] as [count][out / width][depth][width]; `out`
/// is rounded up to whole panels with zeros. Stored as f32, or as f16 (relative
/// error 2^-11, an eighth of what a bf16 checkpoint has already lost) to halve
/// memory and traffic.
class Panels {
 public:
  Panels() = default;
  Panels(int count, int depth, int out, bool half);

  /// Not safe for two threads that write the same panel.
  void set(int matrix, int k, int column, float value) {
    size_t at = matrix * matrix_stride() +
        static_cast<size_t>(column / width_) * depth_ * width_ +
        static_cast<size_t>(k) * width_ + column % width_;
    if (half_) {
      halves_[at] = to_f16(value);
    } else {
      floats_[at] = value;
    }
  }

  size_t matrix_stride() const {
    return static_cast<size_t>(padded_out_) * depth_;
  }
  int depth() const {
    return depth_;
  }
  int padded_out() const {
    return padded_out_;
  }
  bool half() const {
    return half_;
  }
  const float* floats() const {
    return floats_.get();
  }
  const uint16_t* halves() const {
    return halves_.get();
  }

 private:
  static uint16_t to_f16(float value);

  int depth_ = 0;
  int padded_out_ = 0;
  int width_ = 1;
  bool half_ = false;
  hwy::AlignedFreeUniquePtr<float[]> floats_;
  hwy::AlignedFreeUniquePtr<uint16_t[]> halves_;
};

} // namespace mlx_audio::kernels
