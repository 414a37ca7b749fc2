#include "kernels/paired_weight.h"

#include <cstring>

#include "kernels/aligned.h"
#include "kernels/float_type.h"
#include "kernels/parallel.h"

namespace mlx_audio::kernels {

PairedWeight::PairedWeight(const mx::array& weight)
    : out_(weight.shape(0)), in_(weight.shape(1)) {
  auto w = mx::contiguous(mx::astype(weight, mx::float32));
  mx::eval(w);
  const auto* from = w.data<float>();
  int64_t panels = (out_ + kPairedColumns - 1) / kPairedColumns;
  auto count = static_cast<size_t>(panels * depth() * kPairedColumns);
  auto data = allocate_aligned<uint32_t>(count);
  std::memset(data.get(), 0, count * sizeof(uint32_t));
  parallel_for(panels, 1, [&](int64_t p) {
    uint32_t* to = data.get() + p * depth() * kPairedColumns;
    for (int64_t c = 0; c < kPairedColumns && p * kPairedColumns + c < out_;
         ++c) {
      const float* row = from + (p * kPairedColumns + c) * in_;
      for (int64_t k = 0; k < in_; ++k) {
        to[k / 2 * kPairedColumns + c] |= bf16_bits(row[k]) << (k % 2 * 16);
      }
    }
  });
  data_ = std::move(data);
}

} // namespace mlx_audio::kernels
