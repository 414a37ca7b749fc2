// A tensor that is computed when it is wanted: what mappings between layouts
// are made of, so that a checkpoint of any size streams through.
#pragma once

#include <functional>
#include <memory>

#include "checkpoint/tensor.h"

namespace mlx_audio::checkpoint {

struct LazyTensor {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  /// Makes the bytes anew at each call: byte_size(name, dtype, shape) of them.
  std::function<Bytes()> load;

  uint64_t bytes() const {
    return byte_size(name, dtype, shape);
  }
};

/// One lazy tensor for each of the source's, in its order.
std::vector<LazyTensor> lazy_tensors(
    const std::shared_ptr<const TensorSource>& source);

/// The same tensor in another float type (float16, bfloat16, float32, float64),
/// rounded to nearest even; not a float: unchanged.
LazyTensor cast(LazyTensor tensor, DType to);
Bytes cast(const Bytes& bytes, DType from, DType to);

/// The same elements with the axes in the order of `axes`.
LazyTensor transpose(LazyTensor tensor, std::vector<size_t> axes);

/// The same bytes under another shape of as many elements.
LazyTensor reshape(LazyTensor tensor, Shape shape);

/// Rows [begin, end) of the first axis.
LazyTensor rows(LazyTensor tensor, int64_t begin, int64_t end);

} // namespace mlx_audio::checkpoint
