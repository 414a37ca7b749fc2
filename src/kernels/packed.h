// Linear layers and attention over weights packed for AVX-512's dot products,
// f32 activations in and out. Where packed_available() is false, models run
// kernels/linear.h and kernels/attention.h instead, which define the results.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <hwy/aligned_allocator.h>

#include "kernels/linear.h"
#include "kernels/team.h"

namespace mlx_audio::kernels {

/// How a packed operand is kept. Activations are brought to the same form: f32
/// for the first two, bf16, or signed bytes with a scale for each row.
enum class PackedType {
  f32,
  f16, ///< multiplied as f32
  bf16,
  int8, ///< with a scale for each output
};

/// Whether this CPU has the instructions and ops run on it.
bool packed_available();

/// A linear layer's weights as panels of 64 outputs: [panels][words][64] of
/// 32-bit words (16-bit for f16), each holding one input's weight, two in bf16
/// or four offset bytes.
class PackedLinear {
 public:
  PackedLinear() = default;
  /// Evaluates the weight; affine-quantized ones are unpacked first.
  PackedLinear(PackedType type, const LinearWeight& weight);

  PackedType type() const {
    return type_;
  }
  int in() const {
    return in_;
  }
  int out() const {
    return out_;
  }
  int panels() const {
    return (out_ + 63) / 64;
  }
  size_t panel_bytes() const {
    return panel_bytes_;
  }
  /// What a product reads.
  double bytes() const {
    return static_cast<double>(panels()) * static_cast<double>(panel_bytes_);
  }
  const uint8_t* panel(int64_t i) const {
    return data_.get() + static_cast<size_t>(i) * panel_bytes_;
  }
  const float* scales() const { // of int8, [panels x 64]
    return scales_.data();
  }
  const float* bias() const { // [out] or null
    return bias_.empty() ? nullptr : bias_.data();
  }

 private:
  PackedType type_ = PackedType::f32;
  int in_ = 0;
  int out_ = 0;
  size_t panel_bytes_ = 0;
  hwy::AlignedFreeUniquePtr<uint8_t[]> data_;
  std::vector<float> scales_;
  std::vector<float> bias_;
};

/// Layer norm's weights.
struct PackedNorm {
  std::vector<float> weight;
  std::vector<float> bias;
  float eps = 1e-5f;
};
PackedNorm pack_norm(const mx::array& weight, const mx::array& bias, float eps);

/// One row; y may be x.
void packed_norm(const PackedNorm& norm, const float* x, float* y);

/// One product: y [m, out] (+)= act(norm(x) W^T + b), rows x_stride and
/// y_stride apart.
struct PackedProduct {
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t m = 0;
  const PackedNorm* norm = nullptr; // of x, optional
  Activation activation = Activation::none;
  float* y = nullptr;
  int64_t y_stride = 0;
  bool add = false; // to what y holds
};

/// On all threads.
void packed_linear(const PackedLinear& weight, const PackedProduct& product);

/// x [..., in] -> act(x W^T + b) [..., out], f32, as an op of that name.
mx::array packed_linear(
    const char* name,
    const mx::array& x,
    std::shared_ptr<const PackedLinear> weight,
    Activation activation = Activation::none);

/// Floats that a team shares for products of that many rows and inputs.
int64_t packed_shared_floats(int64_t rows, int64_t in);

/// For few rows, called by every thread of a team; `shared` is theirs together.
void packed_linear(
    const PackedLinear& weight,
    const PackedProduct& product,
    Team& team,
    int thread,
    float* shared);

/// In this thread, for blocks of some dozens of rows.
void packed_linear_rows(
    const PackedLinear& weight,
    const PackedProduct& product);

/// Up to here each panel best takes all rows at once.
constexpr int64_t kFewPackedRows = 192;

/// Rows that packed_linear_rows() is best called with: few enough to stay in
/// the second-level cache, enough for the time that fetching the weights takes.
int64_t packed_rows();

/// Rows that packed_attend() is best called with, for the same reasons.
int64_t packed_queries();

/// The layout of one head's keys and values of 64 dimensions. Keys are panels
/// of 64 positions, values one panel.
struct PackedMemory {
  PackedType type = PackedType::bf16; // not int8
  int64_t length = 0; // positions

  int64_t key_words() const { // of 32 bits, of a head
    return (length + 63) / 64 * words(64) * row_words();
  }
  int64_t value_words() const {
    return words(length) * row_words();
  }
  int64_t words(int64_t count) const {
    return type == PackedType::bf16 ? (count + 1) / 2 : count;
  }
  int64_t row_words() const {
    return type == PackedType::f16 ? 32 : 64;
  }
};

/// Packs kv [length, ..] rows `stride` apart, of all heads: keys [heads, 64] at
/// `keys`, values at `values`. On all threads.
void pack_memory(
    const PackedMemory& memory,
    int heads,
    const float* keys,
    const float* values,
    int64_t stride,
    uint32_t* packed_keys,
    uint32_t* packed_values);

/// One head's queries [rows, 64] over its packed memory: out [rows, 64].
void packed_attend(
    const PackedMemory& memory,
    const uint32_t* keys,
    const uint32_t* values,
    const float* q,
    int64_t q_stride,
    int64_t rows,
    float scale,
    float* out,
    int64_t out_stride);

} // namespace mlx_audio::kernels
