#include "checkpoint/tensor.h"

#include <array>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

struct DTypeInfo {
  const char* name;
  size_t size;
};

constexpr std::array<DTypeInfo, 16> infos = {{
    {"BOOL", 1},
    {"U8", 1},
    {"I8", 1},
    {"U16", 2},
    {"I16", 2},
    {"U32", 4},
    {"I32", 4},
    {"U64", 8},
    {"I64", 8},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F16", 2},
    {"BF16", 2},
    {"F32", 4},
    {"F64", 8},
    {"C64", 8},
}};

} // namespace

size_t item_size(DType dtype) {
  return infos[static_cast<size_t>(dtype)].size;
}

bool is_float(DType dtype) {
  return dtype == DType::float16 || dtype == DType::bfloat16 ||
      dtype == DType::float32 || dtype == DType::float64;
}

const char* to_string(DType dtype) {
  return infos[static_cast<size_t>(dtype)].name;
}

std::optional<DType> dtype_from_string(std::string_view name) {
  for (size_t i = 0; i < infos.size(); ++i) {
    if (name == infos[i].name) {
      return static_cast<DType>(i);
    }
  }
  return std::nullopt;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

uint64_t element_count(const Shape& shape) {
  uint64_t count = 1;
  for (int64_t size : shape) {
    count *= static_cast<uint64_t>(size);
  }
  return count;
}

uint64_t byte_size(const std::string& name, DType dtype, const Shape& shape) {
  constexpr uint64_t limit = uint64_t{1} << 62;
  if (shape.size() > 16) {
    throw Error(
        ErrorKind::corrupt_data,
        "tensor '" + name + "' has " + std::to_string(shape.size()) +
            " axes, more than 16");
  }
  uint64_t bytes = item_size(dtype);
  bool empty = false;
  for (int64_t size : shape) {
    if (size < 0) {
      throw Error(
          ErrorKind::corrupt_data,
          "tensor '" + name + "' has the impossible shape " + to_string(shape));
    }
    empty = empty || size == 0;
    if (size > 0) {
      if (bytes > limit / static_cast<uint64_t>(size)) {
        throw Error(
            ErrorKind::corrupt_data,
            "tensor '" + name + "' of shape " + to_string(shape) +
                " is larger than any file");
      }
      bytes *= static_cast<uint64_t>(size);
    }
  }
  return empty ? 0 : bytes;
}

const std::map<std::string, std::string>& TensorSource::metadata() const {
  static const std::map<std::string, std::string> none;
  return none;
}

Bytes TensorSource::read(const TensorInfo& tensor) const {
  Bytes bytes(tensor.bytes);
  read(tensor, bytes);
  return bytes;
}

const TensorInfo* TensorSource::find(std::string_view name) const {
  for (const auto& tensor : tensors()) {
    if (tensor.name == name) {
      return &tensor;
    }
  }
  return nullptr;
}

} // namespace mlx_audio::checkpoint
