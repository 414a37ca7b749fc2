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

/// How weights are stored.
enum class PanelType {
  f32,
  /// Relative error 2^-11, an eighth of what a bf16 checkpoint has already
  /// lost; half the memory and traffic.
  f16,
  /// Pairs of bf16 along the depth, for AVX-512's dot product of pairs: two
  /// multiply-adds a lane.
  bf16_pairs,
};

/// Whether this CPU multiplies bf16_pairs.
bool has_bf16_pairs();

/// Output channels a panel: two vectors of the best instruction set here.
int panel_width();

/// `count` matrices of [depth, out] as [count][out / width][depth][width];
/// `out` is rounded up to whole panels with zeros. With bf16_pairs the depth
/// counts pairs.
class Panels {
 public:
  Panels() = default;
  Panels(int count, int depth, int out, PanelType type);

  /// Stores rows [depth][width] of one matrix's panel.
  void set(int matrix, int panel, const float* rows);
  /// The same for bf16_pairs: row d of `low` and of `high` make pair d.
  void set_pairs(
      int matrix,
      int panel,
      const float* low,
      const float* high,
      size_t row_stride);

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
  PanelType type() const {
    return type_;
  }
  const float* floats() const {
    return floats_.get();
  }
  const uint16_t* halves() const {
    return halves_.get();
  }
  const uint32_t* pairs() const {
    return pairs_.get();
  }

 private:
  int depth_ = 0;
  int padded_out_ = 0;
  int width_ = 1;
  PanelType type_ = PanelType::f32;
  hwy::AlignedFreeUniquePtr<float[]> floats_;
  hwy::AlignedFreeUniquePtr<uint16_t[]> halves_;
  hwy::AlignedFreeUniquePtr<uint32_t[]> pairs_;
};

} // namespace mlx_audio::kernels
