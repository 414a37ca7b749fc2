// Weights packed in panels for the register-tiled matrix product.
#pragma once

#include <cstddef>
#include <cstdint>

#include <functional>

#include <hwy/aligned_allocator.h>

namespace mlx_audio::kernels {

/// Gives a layer's weights a panel at a time: fills block
/// [kernel][in][panel_width()] for the output channels from `first` on, with
/// zeros beyond the last. Called from several threads.
using PanelSource = std::function<void(int first, float* block)>;

/// Output channels a panel: two vectors of the best instruction set here.
int panel_width();

/// `count` matrices of [depth, out] as [count][out / width][depth][width];
/// `out` is rounded up to whole panels with zeros. Stored as f32, or as f16
/// (relative error 2^-11, an eighth of what a bf16 checkpoint has already lost)
/// to halve memory and traffic.
class Panels {
 public:
  Panels() = default;
  Panels(int count, int depth, int out, bool half);

  /// Stores rows [depth][width] of one matrix's panel.
  void set(int matrix, int panel, const float* rows);

  size_t matrix_stride() const {
    return static_cast<size_t>(padded_out_) * depth_;
  }
  int depth() const {
    return depth_;
  }
  int width() const {
    return width_;
  }
  int count() const { // panels a matrix
    return padded_out_ / width_;
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
  int depth_ = 0;
  int padded_out_ = 0;
  int width_ = 1;
  bool half_ = false;
  hwy::AlignedFreeUniquePtr<float[]> floats_;
  hwy::AlignedFreeUniquePtr<uint16_t[]> halves_;
};

} // namespace mlx_audio::kernels
