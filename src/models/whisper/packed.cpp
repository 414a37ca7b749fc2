#include "models/whisper/packed.h"

#include <algorithm>

#include "kernels/cpu_op.h"
#include "kernels/kv_cache_cpu.h"
#include "kernels/packed_avx512.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"

namespace mlx_audio::whisper {

namespace {

using kernels::packed_attend;
using kernels::packed_linear;
using kernels::packed_linear_rows;
using kernels::packed_queries;
using kernels::packed_rows;
using kernels::PackedLinear;
using kernels::PackedMemory;
using kernels::PackedProduct;
using kernels::PackedType;
using kernels::parallel_for;
using kernels::Scratch;

constexpr int64_t kHead = 64; // width of every Whisper's heads
constexpr float kScale = 0.125f; // 1 / sqrt(kHead)

double flops_of(const PackedLinear& w) {
  return 2.0 * w.in() * w.out();
}

// out [rows, width] of queries, keys and values side by side.
void encoder_attention(
    const PackedEncoder& encoder,
    const float* qkv,
    int64_t rows,
    int64_t width,
    float* out) {
  static thread_local Scratch scratch;
  PackedMemory memory{
      encoder.mode == PackedMode::f32 ? PackedType::f32 : PackedType::bf16,
      rows};
  float* storage = scratch.floats(
      encoder.heads * (memory.key_words() + memory.value_words()));
  auto* keys = reinterpret_cast<uint32_t*>(storage);
  auto* values = keys + encoder.heads * memory.key_words();
  kernels::pack_memory(
      memory,
      encoder.heads,
      qkv + width,
      qkv + 2 * width,
      3 * width,
      keys,
      values);
  int64_t queries = packed_queries();
  int64_t blocks = (rows + queries - 1) / queries;
  parallel_for(encoder.heads * blocks, 1, [&](int64_t i) {
    int64_t head = i / blocks;
    int64_t first = i % blocks * queries;
    packed_attend(
        memory,
        keys + head * memory.key_words(),
        values + head * memory.value_words(),
        qkv + first * 3 * width + head * kHead,
        3 * width,
        std::min(queries, rows - first),
        kScale,
        out + first * width + head * kHead,
        width);
  });
}

void encoder_layer(
    const PackedEncoder& encoder,
    const PackedEncoderLayer& layer,
    int64_t rows,
    float* x) {
  static thread_local Scratch scratch;
  int64_t width = layer.qkv.in();
  float* qkv = scratch.floats(rows * 4 * width);
  float* seen = qkv + rows * 3 * width;
  packed_linear(
      layer.qkv,
      {.x = x,
       .x_stride = width,
       .m = rows,
       .norm = &layer.attention_norm,
       .y = qkv,
       .y_stride = 3 * width});
  encoder_attention(encoder, qkv, rows, width, seen);
  // The rest of the layer a block of rows at a time: it stays in the cache.
  int64_t at_once = packed_rows();
  int64_t blocks = (rows + at_once - 1) / at_once;
  parallel_for(blocks, 1, [&](int64_t block) {
    static thread_local Scratch inner_scratch;
    int64_t first = block * at_once;
    int64_t count = std::min(at_once, rows - first);
    float* mine = x + first * width;
    packed_linear_rows(
        layer.out,
        {.x = seen + first * width,
         .x_stride = width,
         .m = count,
         .y = mine,
         .y_stride = width,
         .add = true});
    int64_t inner_width = layer.mlp1.out();
    float* inner = inner_scratch.floats(count * inner_width);
    packed_linear_rows(
        layer.mlp1,
        {.x = mine,
         .x_stride = width,
         .m = count,
         .norm = &layer.mlp_norm,
         .activation = kernels::Activation::gelu,
         .y = inner,
         .y_stride = inner_width});
    packed_linear_rows(
        layer.mlp2,
        {.x = inner,
         .x_stride = inner_width,
         .m = count,
         .y = mine,
         .y_stride = width,
         .add = true});
  });
}

// One window: mel [2 context, n_mels] -> y [context, width]. A frame with its
// neighbours is a row of three frames in memory, with silence around all.
void encode_window(const PackedEncoder& e, const float* mel, float* y) {
  static thread_local Scratch scratch;
  int64_t mels = e.conv1.in() / 3;
  int64_t width = e.conv1.out();
  int64_t frames = 2 * static_cast<int64_t>(e.context);
  float* padded = scratch.floats((frames + 2) * (mels + width));
  float* wide = padded + (frames + 2) * mels;
  std::fill_n(padded, mels, 0.0f);
  std::copy_n(mel, frames * mels, padded + mels);
  std::fill_n(padded + (frames + 1) * mels, mels, 0.0f);
  std::fill_n(wide, width, 0.0f);
  std::fill_n(wide + (frames + 1) * width, width, 0.0f);
  packed_linear(
      e.conv1,
      {.x = padded,
       .x_stride = mels,
       .m = frames,
       .activation = kernels::Activation::gelu,
       .y = wide + width,
       .y_stride = width});
  packed_linear(
      e.conv2,
      {.x = wide,
       .x_stride = 2 * width,
       .m = e.context,
       .activation = kernels::Activation::gelu,
       .y = y,
       .y_stride = width});
  kernels::avx512::add(e.positions.data(), nullptr, e.context * width, y);
  for (const auto& layer : e.layers) {
    encoder_layer(e, layer, e.context, y);
  }
  parallel_for(e.context, 64, [&](int64_t r) {
    kernels::packed_norm(e.norm, y + r * width, y + r * width);
  });
}

struct DecodeShape {
  int rows;
  int steps;
  int64_t length; // of the audio
  std::vector<int> windows;
};

// How the loops of a decoder's step run: few rows by a team of threads, which
// the many short loops need; a prompt's many by the pool.
struct ByTeam {
  kernels::Team& team;
  int thread;
  float* shared;

  template <class Function>
  void each(int64_t count, const Function& function) const {
    team.loop(thread, count, function);
  }
  void product(const PackedLinear& w, const PackedProduct& p) const {
    packed_linear(w, p, team, thread, shared);
  }
};

struct ByPool {
  template <class Function>
  void each(int64_t count, const Function& function) const {
    parallel_for(count, 1, function);
  }
  void product(const PackedLinear& w, const PackedProduct& p) const {
    packed_linear(w, p);
  }
};

// What a step of the decoder works on; x [rows x steps, width] in place.
struct DecoderStep {
  const PackedDecoder& decoder;
  const PackedCache& cache;
  const std::vector<std::vector<int>>& holders;
  const DecodeShape& shape;
  const kernels::CacheShape& cache_shape;
  float* x;
  float* wide; // [rows x steps, the widest of a layer's results]
  float* seen; // [rows x steps, width]

  int64_t m() const {
    return static_cast<int64_t>(shape.rows) * shape.steps;
  }

  template <class Loops>
  void layer(
      size_t index,
      const std::vector<mx::array>& memory,
      const Loops& loops) const {
    const PackedDecoderLayer& layer = decoder.layers[index];
    const PackedCache::Layer& own = cache.layers[index];
    auto product = [&](const PackedLinear& w,
                       const float* from,
                       float* to,
                       bool add,
                       const kernels::PackedNorm* norm = nullptr,
                       kernels::Activation activation =
                           kernels::Activation::none) {
      loops.product(
          w,
          {.x = from,
           .x_stride = w.in(),
           .m = m(),
           .norm = norm,
           .activation = activation,
           .y = to,
           .y_stride = w.out(),
           .add = add});
    };
    product(layer.qkv, x, wide, false, &layer.attention_norm);
    loops.each(
        static_cast<int64_t>(shape.rows) * decoder.heads, [&](int64_t item) {
          kernels::self_attention_head(
              wide,
              own.keys.get(),
              own.values.get(),
              holders,
              cache_shape,
              kScale,
              item,
              seen);
        });
    product(layer.out, seen, x, true);
    product(layer.cross_query, x, wide, false, &layer.cross_norm);
    cross_attention(
        memory[2 * index].data<uint32_t>(),
        memory[2 * index + 1].data<uint32_t>(),
        layer.cross_query.out(),
        loops);
    product(layer.cross_out, seen, x, true);
    product(
        layer.mlp1, x, wide, false, &layer.mlp_norm, kernels::Activation::gelu);
    product(layer.mlp2, wide, x, true);
  }

  template <class Loops>
  void cross_attention(
      const uint32_t* keys,
      const uint32_t* values,
      int64_t width,
      const Loops& loops) const {
    PackedMemory memory = decoder.memory(shape.length);
    auto windows = static_cast<int64_t>(shape.windows.size());
    int64_t group = m() / windows; // rows that read one window
    int64_t queries = packed_queries();
    int64_t blocks = (group + queries - 1) / queries;
    int heads = decoder.heads;
    loops.each(windows * heads * blocks, [&](int64_t i) {
      int64_t window = i / (heads * blocks);
      int64_t head = i / blocks % heads;
      int64_t first = window * group + i % blocks * queries;
      int64_t at =
          static_cast<int64_t>(shape.windows[static_cast<size_t>(window)]) *
              heads +
          head;
      packed_attend(
          memory,
          keys + at * memory.key_words(),
          values + at * memory.value_words(),
          wide + first * width + head * kHead,
          width,
          std::min(queries, (window + 1) * group - first),
          kScale,
          seen + first * width + head * kHead,
          width);
    });
  }

  template <class Loops>
  void run(const std::vector<mx::array>& memory, const Loops& loops) const {
    for (size_t i = 0; i < decoder.layers.size(); ++i) {
      layer(i, memory, loops);
    }
    int64_t width = decoder.projection.in();
    loops.each(m(), [&](int64_t r) {
      kernels::packed_norm(decoder.norm, x + r * width, x + r * width);
    });
  }
};

void decode_step(
    const PackedDecoder& decoder,
    const PackedCache& cache,
    const std::vector<std::vector<int>>& holders,
    const DecodeShape& shape,
    const kernels::CacheShape& cache_shape,
    const std::vector<mx::array>& memory,
    float* x) {
  static thread_local Scratch scratch;
  int64_t width = decoder.projection.in();
  int64_t m = static_cast<int64_t>(shape.rows) * shape.steps;
  int64_t widest = width;
  for (const auto& layer : decoder.layers) {
    widest = std::max<int64_t>({widest, layer.qkv.out(), layer.mlp1.out()});
  }
  int64_t shared = kernels::packed_shared_floats(m, widest);
  float* wide = scratch.floats(m * (widest + width) + shared);
  float* seen = wide + m * widest;
  DecoderStep step{decoder, cache, holders, shape, cache_shape, x, wide, seen};
  if (m > kernels::kFewPackedRows) {
    step.run(memory, ByPool());
    return;
  }
  kernels::run_team([&](kernels::Team& team, int thread) {
    step.run(memory, ByTeam{team, thread, seen + m * width});
  });
}

} // namespace

PackedCache::PackedCache(int layer_count, int max_rows, int heads, int capacity)
    : capacity(capacity) {
  size_t size = static_cast<size_t>(max_rows) * static_cast<size_t>(heads) *
      static_cast<size_t>(capacity) * kHead;
  for (int i = 0; i < layer_count; ++i) {
    layers.push_back(
        {std::make_unique_for_overwrite<float[]>(size),
         std::make_unique_for_overwrite<float[]>(size)});
  }
}

void PackedCache::reorder(std::span<const int> sources) {
  std::vector<std::vector<int>> next;
  next.reserve(sources.size());
  for (int source : sources) {
    next.push_back(holders.at(static_cast<size_t>(source)));
  }
  holders = std::move(next);
}

PackedType packed_type(PackedMode mode, const kernels::LinearWeight& weight) {
  switch (mode) {
    case PackedMode::int8:
      return PackedType::int8;
    case PackedMode::bf16:
      return PackedType::bf16;
    default:
      return !weight.quantized() && weight.weight.dtype() == mx::float16
          ? PackedType::f16
          : PackedType::f32;
  }
}

PackedType packed_convolution_type(
    PackedMode mode,
    const kernels::LinearWeight& weight) {
  return packed_type(
      mode == PackedMode::int8 ? PackedMode::bf16 : mode, weight);
}

mx::array packed_encode(
    const std::shared_ptr<const PackedEncoder>& encoder,
    const mx::array& mel) {
  const auto& e = *encoder;
  int batch = mel.shape(0);
  int width = e.conv1.out();
  double flops = 2 * flops_of(e.conv1) + flops_of(e.conv2);
  double bytes = e.conv1.bytes() + e.conv2.bytes();
  for (const auto& layer : e.layers) {
    flops += flops_of(layer.qkv) + flops_of(layer.out) + flops_of(layer.mlp1) +
        flops_of(layer.mlp2) + 4.0 * e.context * width;
    bytes += layer.qkv.bytes() + layer.out.bytes() + layer.mlp1.bytes() +
        layer.mlp2.bytes();
  }
  return kernels::cpu_op(
      "whisper_encoder",
      {mx::astype(mel, mx::float32)},
      mx::Shape{batch, e.context, width},
      mx::float32,
      [encoder, batch, width](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        auto frames = static_cast<int64_t>(in[0].size()) / batch;
        for (int b = 0; b < batch; ++b) {
          encode_window(
              *encoder,
              in[0].data<float>() + b * frames,
              out[0].data<float>() +
                  static_cast<int64_t>(b) * encoder->context * width);
        }
      },
      {flops * e.context * batch, bytes * batch});
}

std::vector<mx::array> packed_remember(
    const std::shared_ptr<const PackedDecoder>& decoder,
    const mx::array& audio) {
  int batch = audio.shape(0);
  int length = audio.shape(1);
  int heads = decoder->heads;
  PackedMemory memory = decoder->memory(length);
  std::vector<mx::Shape> shapes;
  double flops = 0;
  for (const auto& layer : decoder->layers) {
    shapes.push_back({batch, static_cast<int>(heads * memory.key_words())});
    shapes.push_back({batch, static_cast<int>(heads * memory.value_words())});
    flops += flops_of(layer.cross_kv) * length * batch;
  }
  return kernels::cpu_op(
      "whisper_memory",
      {audio},
      shapes,
      std::vector<mx::Dtype>(shapes.size(), mx::uint32),
      [decoder, memory, batch, heads](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        static thread_local Scratch scratch;
        int64_t width = heads * kHead;
        int64_t rows = memory.length;
        float* kv = scratch.floats(rows * 2 * width);
        for (size_t i = 0; i < decoder->layers.size(); ++i) {
          for (int64_t b = 0; b < batch; ++b) {
            packed_linear(
                decoder->layers[i].cross_kv,
                {.x = in[0].data<float>() + b * rows * width,
                 .x_stride = width,
                 .m = rows,
                 .y = kv,
                 .y_stride = 2 * width});
            kernels::pack_memory(
                memory,
                heads,
                kv,
                kv + width,
                2 * width,
                out[2 * i].data<uint32_t>() + b * heads * memory.key_words(),
                out[2 * i + 1].data<uint32_t>() +
                    b * heads * memory.value_words());
          }
        }
      },
      {flops, 0});
}

mx::array packed_decode(
    const std::shared_ptr<const PackedDecoder>& decoder,
    const std::shared_ptr<PackedCache>& cache,
    const mx::array& x,
    const std::vector<mx::array>& memory,
    int length,
    std::vector<int> windows) {
  DecodeShape shape{x.shape(0), x.shape(1), length, std::move(windows)};
  kernels::CacheShape cache_shape{
      .rows = shape.rows,
      .steps = shape.steps,
      .heads = decoder->heads,
      .dim = kHead,
      .capacity = cache->capacity,
      .length = cache->length};
  cache->length += shape.steps;
  cache->holders.resize(static_cast<size_t>(shape.rows));
  for (int r = 0; r < shape.rows; ++r) {
    cache->holders[static_cast<size_t>(r)].resize(
        static_cast<size_t>(cache->length), r);
  }
  std::vector<mx::array> inputs = {mx::contiguous(x)};
  inputs.insert(inputs.end(), memory.begin(), memory.end());
  double m = static_cast<double>(shape.rows) * shape.steps;
  double flops = 0;
  double bytes = 0;
  double read = static_cast<double>(shape.windows.size()) / memory[0].shape(0);
  for (size_t i = 0; i < decoder->layers.size(); ++i) {
    const auto& layer = decoder->layers[i];
    for (const auto* w :
         {&layer.qkv,
          &layer.out,
          &layer.cross_query,
          &layer.cross_out,
          &layer.mlp1,
          &layer.mlp2}) {
      flops += m * flops_of(*w);
      bytes += w->bytes();
    }
    flops += 4 * m * (length + cache->length) * x.shape(2);
    bytes += read *
        static_cast<double>(
                 memory[2 * i].nbytes() + memory[2 * i + 1].nbytes());
  }
  return kernels::cpu_op(
      "whisper_decoder",
      inputs,
      x.shape(),
      mx::float32,
      [decoder, cache, holders = cache->holders, shape, cache_shape](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        float* y = out[0].data<float>();
        std::copy_n(in[0].data<float>(), in[0].size(), y);
        std::vector<mx::array> memory(in.begin() + 1, in.end());
        decode_step(*decoder, *cache, holders, shape, cache_shape, memory, y);
      },
      {flops, bytes},
      kernels::Layout::any);
}

} // namespace mlx_audio::whisper
