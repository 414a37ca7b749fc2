// What every checkpoint format is read as: named tensors of a type, a shape and
// bytes that are fetched only when they are wanted. A leaf: knows no MLX.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::checkpoint {

enum class DType : uint8_t {
  boolean,
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  uint64,
  int64,
  float8_e4m3,
  float8_e5m2,
  float16,
  bfloat16,
  float32,
  float64,
  complex64,
};

/// Sizes of the axes, slowest first; each is at least 0.
using Shape = std::vector<int64_t>;
using Bytes = std::vector<std::byte>;

/// Bytes of one element, 1..8.
size_t item_size(DType dtype);
bool is_float(DType dtype);
/// The safetensors name, e.g. "BF16".
const char* to_string(DType dtype);
/// The inverse of to_string; empty for a name the format lacks.
std::optional<DType> dtype_from_string(std::string_view name);
/// "[2, 3]".
std::string to_string(const Shape& shape);

uint64_t element_count(const Shape& shape);
/// Bytes of a tensor; corrupt_data (naming it) for a negative size, more than
/// 16 axes or a product above 2^62.
uint64_t byte_size(const std::string& name, DType dtype, const Shape& shape);

struct TensorInfo {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  /// Where the bytes begin, as the format that was read counts it.
  uint64_t offset = 0;
  /// How many bytes, item_size x element_count.
  uint64_t bytes = 0;
};

/// A checkpoint in any format, open for reading. Data is little endian and row
/// major. Reading is safe from several threads.
class TensorSource {
 public:
  virtual ~TensorSource() = default;

  /// All tensors, in the order of the file.
  virtual const std::vector<TensorInfo>& tensors() const = 0;

  /// Copies a tensor's bytes into `out`, whose size is `tensor.bytes`.
  virtual void read(const TensorInfo& tensor, std::span<std::byte> out)
      const = 0;

  /// Free text that the file carries about itself.
  virtual const std::map<std::string, std::string>& metadata() const;

  Bytes read(const TensorInfo& tensor) const;
  /// The tensor of that name or nullptr; a linear search.
  const TensorInfo* find(std::string_view name) const;
};

} // namespace mlx_audio::checkpoint
