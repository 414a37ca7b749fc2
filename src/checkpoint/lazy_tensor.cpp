#include "checkpoint/lazy_tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

uint16_t to_bfloat16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) {
    return static_cast<uint16_t>((bits >> 16) | 0x40);
  }
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float from_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float from_float16(uint16_t half) {
  uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  uint32_t exponent = (half >> 10) & 31;
  uint32_t fraction = half & 1023;
  if (exponent == 31) {
    return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  }
  if (exponent == 0) { // a subnormal: fraction x 2^-24
    float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t to_float16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return static_cast<uint16_t>(sign | 0x7e00);
  }
  if (magnitude >= 0x47800000) { // 65536 and above
    return static_cast<uint16_t>(sign | 0x7c00);
  }
  if (magnitude < 0x38800000) { // below 2^-14: round to a multiple of 2^-24
    float scaled = std::ldexp(std::bit_cast<float>(magnitude), 24);
    return static_cast<uint16_t>(
        sign | static_cast<uint16_t>(std::nearbyint(scaled)));
  }
  // A carry out of the fraction moves into the exponent, up to infinity.
  uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

template <class T>
T element(const Bytes& bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

double load_float(const Bytes& bytes, DType dtype, size_t i) {
  switch (dtype) {
    case DType::float16:
      return from_float16(element<uint16_t>(bytes, i));
    case DType::bfloat16:
      return from_bfloat16(element<uint16_t>(bytes, i));
    case DType::float32:
      return element<float>(bytes, i);
    default:
      return element<double>(bytes, i);
  }
}

void store_float(Bytes& bytes, DType dtype, size_t i, double value) {
  auto put = [&](auto bits) {
    std::memcpy(bytes.data() + i * sizeof(bits), &bits, sizeof(bits));
  };
  switch (dtype) {
    case DType::float16:
      return put(to_float16(static_cast<float>(value)));
    case DType::bfloat16:
      return put(to_bfloat16(static_cast<float>(value)));
    case DType::float32:
      return put(static_cast<float>(value));
    default:
      return put(value);
  }
}

} // namespace

std::vector<LazyTensor> lazy_tensors(
    const std::shared_ptr<const TensorSource>& source) {
  std::vector<LazyTensor> lazy;
  lazy.reserve(source->tensors().size());
  for (const auto& tensor : source->tensors()) {
    lazy.push_back(
        {tensor.name, tensor.dtype, tensor.shape, [source, info = &tensor] {
           return source->read(*info);
         }});
  }
  return lazy;
}

Bytes cast(const Bytes& bytes, DType from, DType to) {
  size_t count = bytes.size() / item_size(from);
  Bytes out(count * item_size(to));
  for (size_t i = 0; i < count; ++i) {
    store_float(out, to, i, load_float(bytes, from, i));
  }
  return out;
}

LazyTensor cast(LazyTensor tensor, DType to) {
  if (!is_float(tensor.dtype) || tensor.dtype == to) {
    return tensor;
  }
  LazyTensor result{tensor.name, to, tensor.shape, {}};
  result.load = [load = std::move(tensor.load), from = tensor.dtype, to] {
    return cast(load(), from, to);
  };
  return result;
}

LazyTensor transpose(LazyTensor tensor, std::vector<size_t> axes) {
  LazyTensor result{tensor.name, tensor.dtype, {}, {}};
  for (size_t axis : axes) {
    result.shape.push_back(tensor.shape.at(axis));
  }
  result.load = [load = std::move(tensor.load),
                 from = std::move(tensor.shape),
                 to = result.shape,
                 item = item_size(tensor.dtype),
                 axes = std::move(axes)] {
    Bytes in = load();
    Bytes out(in.size());
    size_t rank = from.size();
    std::vector<size_t> strides(rank, item);
    for (size_t i = rank; i-- > 1;) {
      strides[i - 1] = strides[i] * static_cast<size_t>(from[i]);
    }
    std::vector<int64_t> index(rank, 0);
    size_t at = 0;
    for (size_t done = 0; done < out.size(); done += item) {
      std::memcpy(out.data() + done, in.data() + at, item);
      for (size_t i = rank; i-- > 0;) {
        size_t stride = strides[axes[i]];
        at += stride;
        if (++index[i] < to[i]) {
          break;
        }
        at -= stride * static_cast<size_t>(to[i]);
        index[i] = 0;
      }
    }
    return out;
  };
  return result;
}

LazyTensor reshape(LazyTensor tensor, Shape shape) {
  if (element_count(shape) != element_count(tensor.shape)) {
    throw Error(
        ErrorKind::corrupt_data,
        "tensor '" + tensor.name + "' of shape " + to_string(tensor.shape) +
            " cannot become " + to_string(shape));
  }
  tensor.shape = std::move(shape);
  return tensor;
}

LazyTensor rows(LazyTensor tensor, int64_t begin, int64_t end) {
  if (tensor.shape.empty() || begin < 0 || begin > end ||
      end > tensor.shape[0]) {
    throw Error(
        ErrorKind::corrupt_data,
        "tensor '" + tensor.name + "' of shape " + to_string(tensor.shape) +
            " has no rows " + std::to_string(begin) + " to " +
            std::to_string(end));
  }
  Shape shape = tensor.shape;
  shape[0] = end - begin;
  Shape row(shape.begin() + 1, shape.end());
  auto size =
      static_cast<int64_t>(element_count(row) * item_size(tensor.dtype));
  LazyTensor result{tensor.name, tensor.dtype, std::move(shape), {}};
  result.load = [load = std::move(tensor.load), begin, end, size] {
    Bytes in = load();
    return Bytes(in.begin() + begin * size, in.begin() + end * size);
  };
  return result;
}

} // namespace mlx_audio::checkpoint
