#include "nn/dtype.h"

#include "mlx_audio/error.h"

namespace mlx_audio::nn {

std::optional<mlx::core::Dtype> parse_dtype(const std::string& name) {
  if (name.empty()) {
    return std::nullopt;
  }
  if (name == "float32" || name == "f32") {
    return mlx::core::float32;
  }
  if (name == "bfloat16" || name == "bf16") {
    return mlx::core::bfloat16;
  }
  if (name == "float16" || name == "f16") {
    return mlx::core::float16;
  }
  throw Error(
      ErrorKind::invalid_argument,
      "unknown dtype '" + name + "'",
      "give float32, bfloat16 or float16");
}

} // namespace mlx_audio::nn
