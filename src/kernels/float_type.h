// Element types that our CPU kernels read and write.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "mlx/mlx.h"

namespace mlx_audio::kernels {

enum class FloatType : uint8_t { f32, bf16, f16 };

inline std::optional<FloatType> float_type(mlx::core::Dtype dtype) {
  switch (dtype.val()) {
    case mlx::core::Dtype::Val::float32:
      return FloatType::f32;
    case mlx::core::Dtype::Val::bfloat16:
      return FloatType::bf16;
    case mlx::core::Dtype::Val::float16:
      return FloatType::f16;
    default:
      return std::nullopt;
  }
}

/// The upper half of an f32, rounded to nearest, ties to even; for finite
/// values.
inline uint32_t bf16_bits(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

} // namespace mlx_audio::kernels
