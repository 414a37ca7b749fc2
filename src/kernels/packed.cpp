#include "kernels/packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/aligned.h"
#include "kernels/amx.h"
#include "kernels/cpu_op.h"
#include "kernels/packed_avx512.h"
#include "kernels/parallel.h"
#include "kernels/round_up.h"
#include "kernels/rows.h"
#include "kernels/scratch.h"
#include "kernels/simd.h"

namespace mlx_audio::kernels {

namespace {

constexpr int64_t kPanel = 64; // columns
constexpr int64_t kScoreBlock = 256; // keys

bool runs_here() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni") &&
      __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

int64_t words_of(PackedType type, int64_t count) {
  switch (type) {
    case PackedType::bf16:
      return (count + 1) / 2;
    case PackedType::int8:
      return (count + 3) / 4;
    default:
      return count;
  }
}

// From how many rows on tiles are faster: half of a tile costs as much as a
// whole one, but their dot products of bf16 have eight times AVX-512's rate.
bool takes_tiles(PackedType type, int64_t rows) {
  return runs_amx() &&
      ((type == PackedType::bf16 && rows >= 2) ||
       (type == PackedType::int8 && rows >= 6));
}

void multiply_tiles(PackedType type, const avx512::Product& p) {
  constexpr int64_t rows_at_once = 32; // their sums and words stay in the cache
  alignas(64) float sums[rows_at_once * kPanel];
  alignas(64) int32_t whole[rows_at_once * kPanel];
  for (int64_t row = 0; row < p.rows; row += rows_at_once) {
    avx512::Product part = p;
    part.rows = std::min(rows_at_once, p.rows - row);
    part.a.words += row * p.a.stride;
    part.c += row * p.c_stride;
    amx::Product product{
        .a = part.a.words,
        .a_stride = p.a.stride,
        .b = static_cast<const uint32_t*>(p.b),
        .b_stride = kPanel,
        .depth = p.words,
        .rows = part.rows,
        .columns = kPanel,
        .c_stride = kPanel,
        .overwrite = true};
    if (type == PackedType::int8) {
      part.a.scales += row;
      part.a.sums += row;
      amx::add_bytes(product, whole);
      avx512::finish_int8(part, whole);
    } else if (p.columns == kPanel && p.bias == nullptr) {
      product.c_stride = p.c_stride;
      product.overwrite = !p.add;
      amx::add_bf16(product, part.c);
    } else {
      amx::add_bf16(product, sums);
      avx512::finish_f32(part, sums);
    }
  }
}

void multiply(PackedType type, const avx512::Product& product) {
  if (takes_tiles(type, product.rows)) {
    return multiply_tiles(type, product);
  }
  switch (type) {
    case PackedType::f32:
      return avx512::product_f32(product);
    case PackedType::f16:
      return avx512::product_f16(product);
    case PackedType::bf16:
      return avx512::product_bf16(product);
    case PackedType::int8:
      return avx512::product_int8(product);
  }
}

uint32_t* as_words(float* x) {
  return reinterpret_cast<uint32_t*>(x);
}

/// Rows of activations in the form that a product takes.
class Prepared {
 public:
  /// Of `count` rows and `words` words each, in floats(count, words).
  Prepared(PackedType type, int64_t count, int64_t words, float* storage)
      : type_(type), stride_(words) {
    words_ = as_words(storage);
    scales_ = reinterpret_cast<float*>(words_ + count * words);
    sums_ = reinterpret_cast<int32_t*>(scales_ + count);
  }

  Prepared(PackedType type, int64_t count, int64_t words, Scratch& scratch)
      : Prepared(type, count, words, scratch.floats(floats(count, words))) {}

  static int64_t floats(int64_t count, int64_t words) {
    return count * (words + 2) + 32;
  }

  void set(int64_t row, const float* x, int64_t count) {
    uint32_t* to = words_ + row * stride_;
    if (type_ == PackedType::bf16) {
      to[stride_ - 1] = 0; // an odd count's last half
      avx512::to_bf16(x, count, to);
    } else if (type_ == PackedType::int8) {
      to[stride_ - 1] = 0;
      scales_[row] = avx512::to_int8(x, count, to, sums_[row]);
    } else {
      std::copy_n(x, count, reinterpret_cast<float*>(to));
    }
  }

  avx512::Rows rows() const {
    return {words_, stride_, scales_, sums_};
  }

 private:
  PackedType type_;
  int64_t stride_;
  uint32_t* words_;
  float* scales_;
  int32_t* sums_;
};

void prepare_row(
    Prepared& prepared,
    const PackedProduct& p,
    int64_t row,
    int64_t count) {
  const float* x = p.x + row * p.x_stride;
  if (p.norm != nullptr) {
    static thread_local Scratch scratch;
    float* normed = scratch.floats(count);
    packed_norm(*p.norm, x, normed);
    x = normed;
  }
  prepared.set(row, x, count);
}

// One panel's outputs for all rows of a product.
void run_panel(
    const PackedLinear& w,
    const PackedProduct& p,
    const avx512::Rows& rows,
    int64_t panel) {
  static thread_local Scratch scratch;
  int64_t first = panel * kPanel;
  int64_t columns = std::min<int64_t>(kPanel, w.out() - first);
  const float* bias = w.bias() != nullptr ? w.bias() + first : nullptr;
  float* y = p.y + first;
  // What is added goes through its activation first.
  bool apart = p.add && p.activation != Activation::none;
  float* sums = apart ? scratch.floats(p.m * kPanel) : y;
  int64_t stride = apart ? kPanel : p.y_stride;
  multiply(
      w.type(),
      {.a = rows,
       .rows = p.m,
       .words = words_of(w.type(), w.in()),
       .b = w.panel(panel),
       .b_scales = w.scales() + (w.type() == PackedType::int8 ? first : 0),
       .bias = bias,
       .c = sums,
       .c_stride = stride,
       .columns = columns,
       .add = p.add && !apart});
  if (p.activation != Activation::none) {
    finish_rows(sums, stride, p.m, columns, nullptr, p.activation);
  }
  if (apart) {
    for (int64_t r = 0; r < p.m; ++r) {
      avx512::add(sums + r * stride, nullptr, columns, y + r * p.y_stride);
    }
  }
}

// Words [words][64] of 64 rows of `words` words each; rows are `stride` apart.
template <class Word>
void transpose_words(
    const Word* from,
    int64_t stride,
    int64_t words,
    Word* to) {
  for (int64_t k0 = 0; k0 < words; k0 += 16) {
    int64_t k1 = std::min(words, k0 + 16);
    for (int64_t n = 0; n < kPanel; ++n) {
      for (int64_t k = k0; k < k1; ++k) {
        to[k * kPanel + n] = from[n * stride + k];
      }
    }
  }
}

} // namespace

bool packed_available() {
  static const bool here = runs_here();
  return here && use_cpu_kernels();
}

int64_t packed_rows() {
  return runs_amx() ? 96 : 48;
}

int64_t packed_queries() {
  return runs_amx() ? 32 : 24;
}

PackedLinear::PackedLinear(PackedType type, const LinearWeight& weight)
    : type_(type), in_(weight.in_features()), out_(weight.out_features()) {
  auto w = weight.quantized() ? mx::dequantize(
                                    mx::astype(weight.weight, mx::uint32),
                                    *weight.scales,
                                    weight.biases,
                                    weight.group_size,
                                    weight.bits)
                              : weight.weight;
  w = mx::contiguous(w);
  if (!float_type(w.dtype())) {
    w = mx::astype(w, mx::float32);
  }
  w.eval();
  if (weight.bias) {
    auto bias = mx::contiguous(mx::astype(*weight.bias, mx::float32));
    bias.eval();
    bias_.assign(bias.data<float>(), bias.data<float>() + out_);
  }
  int64_t words = words_of(type, in_);
  panel_bytes_ =
      static_cast<size_t>(words * kPanel) * (type == PackedType::f16 ? 2 : 4);
  data_ =
      allocate_aligned<uint8_t>(static_cast<size_t>(panels()) * panel_bytes_);
  if (type == PackedType::int8) {
    scales_.resize(static_cast<size_t>(panels()) * kPanel);
  }
  const auto* source = w.data<uint8_t>();
  FloatType source_type = *float_type(w.dtype());
  size_t row_bytes = static_cast<size_t>(in_) * w.itemsize();
  parallel_for(panels(), 1, [&](int64_t panel) {
    static thread_local Scratch row_scratch;
    static thread_local Scratch scratch;
    float* row = row_scratch.floats(in_ + 32);
    Prepared rows(type, kPanel, words, scratch);
    for (int64_t n = 0; n < kPanel; ++n) {
      int64_t at = std::min<int64_t>(panel * kPanel + n, out_ - 1);
      to_f32(
          source_type, source + static_cast<size_t>(at) * row_bytes, row, in_);
      rows.set(n, row, in_);
      if (type == PackedType::int8) {
        scales_[static_cast<size_t>(panel * kPanel + n)] =
            rows.rows().scales[n];
      }
    }
    uint8_t* to = data_.get() + static_cast<size_t>(panel) * panel_bytes_;
    const uint32_t* from = rows.rows().words;
    if (type == PackedType::f16) {
      static thread_local Scratch half_scratch;
      int64_t padded = (words + 15) / 16 * 16;
      auto* halves = reinterpret_cast<uint16_t*>(
          half_scratch.floats(kPanel * padded / 2 + 32));
      for (int64_t n = 0; n < kPanel; ++n) {
        std::copy_n(
            reinterpret_cast<const float*>(from) + n * words, words, row);
        std::fill_n(row + words, padded - words, 0.0f);
        avx512::to_f16(row, padded, halves + n * padded);
      }
      transpose_words(halves, padded, words, reinterpret_cast<uint16_t*>(to));
      return;
    }
    transpose_words(from, words, words, reinterpret_cast<uint32_t*>(to));
    if (type == PackedType::int8) {
      for (size_t i = 0; i < panel_bytes_; ++i) {
        to[i] ^= 0x80; // + 128
      }
    }
  });
}

PackedNorm
pack_norm(const mx::array& weight, const mx::array& bias, float eps) {
  PackedNorm norm;
  norm.eps = eps;
  auto take = [](const mx::array& from, std::vector<float>& to) {
    auto x = mx::contiguous(mx::astype(from, mx::float32));
    x.eval();
    to.assign(x.data<float>(), x.data<float>() + x.size());
  };
  take(weight, norm.weight);
  take(bias, norm.bias);
  return norm;
}

void packed_norm(const PackedNorm& norm, const float* x, float* y) {
  avx512::layer_norm(
      x,
      norm.weight.data(),
      norm.bias.data(),
      norm.eps,
      static_cast<int64_t>(norm.weight.size()),
      y);
}

void packed_linear_rows(const PackedLinear& w, const PackedProduct& p) {
  static thread_local Scratch scratch;
  Prepared rows(w.type(), p.m, words_of(w.type(), w.in()), scratch);
  for (int64_t r = 0; r < p.m; ++r) {
    prepare_row(rows, p, r, w.in());
  }
  for (int64_t panel = 0; panel < w.panels(); ++panel) {
    run_panel(w, p, rows.rows(), panel);
  }
}

void packed_linear(const PackedLinear& w, const PackedProduct& p) {
  if (p.m > kFewPackedRows) {
    int64_t rows = packed_rows();
    int64_t blocks = (p.m + rows - 1) / rows;
    parallel_for(blocks, 1, [&](int64_t block) {
      PackedProduct part = p;
      part.x += block * rows * p.x_stride;
      part.y += block * rows * p.y_stride;
      part.m = std::min(rows, p.m - block * rows);
      packed_linear_rows(w, part);
    });
    return;
  }
  static thread_local Scratch scratch;
  Prepared rows(w.type(), p.m, words_of(w.type(), w.in()), scratch);
  parallel_for(p.m, 16, [&](int64_t r) { prepare_row(rows, p, r, w.in()); });
  // A piece of work should outlast waking a thread.
  auto work = static_cast<int64_t>(w.panel_bytes()) * (1 + p.m / 8);
  int64_t grain = std::max<int64_t>(65536 / work, 1);
  grain = std::max<int64_t>(grain, w.panels() / 32);
  parallel_for(w.panels(), grain, [&](int64_t panel) {
    run_panel(w, p, rows.rows(), panel);
  });
}

mx::array packed_linear(
    const char* name,
    const mx::array& x,
    std::shared_ptr<const PackedLinear> weight,
    Activation activation) {
  auto shape = x.shape();
  int64_t m = static_cast<int64_t>(x.size()) / shape.back();
  shape.back() = weight->out();
  double flops = 2.0 * static_cast<double>(m) * weight->in() * weight->out();
  double bytes = weight->bytes();
  return cpu_op(
      name,
      {mx::astype(x, mx::float32)},
      shape,
      mx::float32,
      [weight = std::move(weight), m, activation](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        packed_linear(
            *weight,
            {.x = in[0].data<float>(),
             .x_stride = weight->in(),
             .m = m,
             .activation = activation,
             .y = out[0].data<float>(),
             .y_stride = weight->out()});
      },
      {flops, bytes});
}

int64_t packed_shared_floats(int64_t rows, int64_t in) {
  return Prepared::floats(rows, in);
}

void packed_linear(
    const PackedLinear& w,
    const PackedProduct& p,
    Team& team,
    int thread,
    float* shared) {
  Prepared rows(w.type(), p.m, words_of(w.type(), w.in()), shared);
  team.loop(thread, p.m, [&](int64_t r) { prepare_row(rows, p, r, w.in()); });
  team.loop(thread, w.panels(), [&](int64_t panel) {
    run_panel(w, p, rows.rows(), panel);
  });
}

void pack_memory(
    const PackedMemory& memory,
    int heads,
    const float* keys,
    const float* values,
    int64_t stride,
    uint32_t* packed_keys,
    uint32_t* packed_values) {
  int64_t panels = (memory.length + kPanel - 1) / kPanel;
  int64_t words = memory.words(kPanel);
  parallel_for(heads * panels, 4, [&](int64_t i) {
    static thread_local Scratch scratch;
    int64_t head = i / panels;
    int64_t first = i % panels * kPanel;
    int64_t count = std::min(kPanel, memory.length - first);
    uint32_t* rows = as_words(scratch.floats(kPanel * kPanel));
    std::fill_n(rows, kPanel * kPanel, 0);
    for (int64_t n = 0; n < count; ++n) {
      const float* key = keys + (first + n) * stride + head * kPanel;
      if (memory.type == PackedType::bf16) {
        avx512::to_bf16(key, kPanel, rows + n * words);
      } else if (memory.type == PackedType::f16) {
        avx512::to_f16(
            key, kPanel, reinterpret_cast<uint16_t*>(rows) + n * kPanel);
      } else {
        std::copy_n(key, kPanel, reinterpret_cast<float*>(rows) + n * kPanel);
      }
    }
    uint32_t* to = packed_keys + head * memory.key_words() +
        first / kPanel * words * memory.row_words();
    if (memory.type == PackedType::f16) {
      transpose_words(
          reinterpret_cast<const uint16_t*>(rows),
          words,
          words,
          reinterpret_cast<uint16_t*>(to));
    } else {
      transpose_words(rows, words, words, to);
    }
    uint32_t* out = packed_values + head * memory.value_words();
    for (int64_t n = 0; n < count; ++n) {
      const float* value = values + (first + n) * stride + head * kPanel;
      if (memory.type == PackedType::f32) {
        std::copy_n(
            value,
            kPanel,
            reinterpret_cast<float*>(out) + (first + n) * kPanel);
      } else if (memory.type == PackedType::f16) {
        avx512::to_f16(
            value,
            kPanel,
            reinterpret_cast<uint16_t*>(out) + (first + n) * kPanel);
      } else if (n % 2 == 0) {
        static const float zeros[kPanel] = {};
        avx512::pair_bf16(
            value,
            n + 1 < count ? value + stride : zeros,
            out + (first + n) / 2 * kPanel);
      }
    }
  });
}

void packed_attend(
    const PackedMemory& memory,
    const uint32_t* keys,
    const uint32_t* values,
    const float* q,
    int64_t q_stride,
    int64_t rows,
    float scale,
    float* out,
    int64_t out_stride) {
  static thread_local Scratch q_scratch;
  static thread_local Scratch row_scratch;
  static thread_local Scratch score_scratch;
  static thread_local Scratch weight_scratch;
  bool half = memory.type == PackedType::bf16;
  int64_t q_words = memory.words(kPanel);
  Prepared queries(
      half ? PackedType::bf16 : PackedType::f32, rows, q_words, q_scratch);
  float* row = row_scratch.floats(kPanel);
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(q + r * q_stride, kPanel, row);
    avx512::scale(row, kPanel, scale);
    queries.set(r, row, kPanel);
  }
  // Scores in the first-level cache where products are fast enough to wait for
  // them otherwise; weights are corrected when a larger score comes.
  int64_t padded = round_up(memory.length, kPanel);
  int64_t block = takes_tiles(memory.type, rows)
      ? std::min<int64_t>(padded, kScoreBlock)
      : padded;
  float* scores = score_scratch.floats(rows * block);
  uint32_t* weights = as_words(scores);
  int64_t stride = block;
  if (half) {
    stride = block / 2;
    weights = as_words(weight_scratch.floats(rows * stride));
  }
  static thread_local std::vector<float> sums;
  static thread_local std::vector<float> tops; // largest scores
  sums.assign(static_cast<size_t>(rows), 0.0f);
  tops.assign(
      static_cast<size_t>(rows), -std::numeric_limits<float>::infinity());
  for (int64_t first = 0; first < memory.length; first += block) {
    int64_t count = std::min(block, memory.length - first);
    for (int64_t at = 0; at < count; at += kPanel) {
      multiply(
          memory.type,
          {.a = queries.rows(),
           .rows = rows,
           .words = q_words,
           .b = keys + (first + at) / kPanel * q_words * memory.row_words(),
           .b_scales = nullptr,
           .c = scores + at,
           .c_stride = block,
           .columns = std::min(kPanel, count - at)});
    }
    for (int64_t r = 0; r < rows; ++r) {
      float* s = scores + r * block;
      float& sum = sums[static_cast<size_t>(r)];
      float& top = tops[static_cast<size_t>(r)];
      float shift = std::max(top, avx512::largest(s, count));
      if (first > 0 && shift > top) {
        float factor = std::exp(top - shift);
        avx512::scale(out + r * out_stride, kPanel, factor);
        sum *= factor;
      }
      top = shift;
      int64_t end = round_up(count, kPanel);
      sum += half
          ? avx512::softmax_bf16(s, count, end, shift, weights + r * stride)
          : avx512::softmax_f32(s, count, end, shift);
    }
    multiply(
        memory.type,
        {.a = {weights, stride, nullptr, nullptr},
         .rows = rows,
         .words = memory.words(count),
         .b = values + memory.words(first) * memory.row_words(),
         .b_scales = nullptr,
         .c = out,
         .c_stride = out_stride,
         .columns = kPanel,
         .add = first > 0});
  }
  for (int64_t r = 0; r < rows; ++r) {
    avx512::scale(
        out + r * out_stride, kPanel, 1.0f / sums[static_cast<size_t>(r)]);
  }
}

} // namespace mlx_audio::kernels
