// Whisper's transformers over packed weights, a handful of nodes instead of a
// dozen for each layer. What WhisperModel does where this does not run defines
// the results.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/packed.h"
#include "models/whisper/config.h"

namespace mlx_audio::whisper {

namespace mx = mlx::core;

/// Which arithmetic products take on CPUs with AVX-512's dot products.
enum class PackedMode {
  f32, ///< weights as the checkpoint has them, f32 sums
  bf16,
  int8, ///< linear layers; attention and convolutions in bf16
};

struct PackedEncoderLayer {
  kernels::PackedNorm attention_norm;
  kernels::PackedLinear qkv;
  kernels::PackedLinear out;
  kernels::PackedNorm mlp_norm;
  kernels::PackedLinear mlp1;
  kernels::PackedLinear mlp2;
};

struct PackedEncoder {
  PackedMode mode = PackedMode::f32;
  int heads = 0;
  int context = 0; // frames of the result
  kernels::PackedLinear conv1; // over three frames side by side
  kernels::PackedLinear conv2;
  std::vector<float> positions; // [context, width]
  std::vector<PackedEncoderLayer> layers;
  kernels::PackedNorm norm;
};

struct PackedDecoderLayer {
  kernels::PackedNorm attention_norm;
  kernels::PackedLinear qkv;
  kernels::PackedLinear out;
  kernels::PackedNorm cross_norm;
  kernels::PackedLinear cross_query;
  kernels::PackedLinear cross_kv;
  kernels::PackedLinear cross_out;
  kernels::PackedNorm mlp_norm;
  kernels::PackedLinear mlp1;
  kernels::PackedLinear mlp2;
};

struct PackedDecoder {
  PackedMode mode = PackedMode::f32;
  int heads = 0;
  std::vector<PackedDecoderLayer> layers;
  kernels::PackedNorm norm;
  kernels::PackedLinear projection; // hidden states to logits

  /// Of the audio that the decoder reads.
  kernels::PackedMemory memory(int64_t length) const {
    auto type = mode == PackedMode::f32 ? kernels::PackedType::f16
                                        : kernels::PackedType::bf16;
    return {type, length};
  }
};

/// Keys and values of past positions, [max_rows, heads, capacity, 64] of each
/// layer. Rows branch as in kernels::KvCache.
struct PackedCache {
  PackedCache(int layers, int max_rows, int heads, int capacity);
  void reorder(std::span<const int> sources);

  int capacity;
  int length = 0;
  struct Layer { // uninitialized: memory that is not reached is not used
    std::unique_ptr<float[]> keys;
    std::unique_ptr<float[]> values;
  };
  std::vector<Layer> layers;
  std::vector<std::vector<int>> holders; // [row][position]
};

/// What a linear layer is packed as.
kernels::PackedType packed_type(
    PackedMode mode,
    const kernels::LinearWeight& weight);
/// The same for convolutions, which stay out of 8 bits.
kernels::PackedType packed_convolution_type(
    PackedMode mode,
    const kernels::LinearWeight& weight);

/// mel [batch, 2 context, n_mels] f32 -> [batch, context, width].
mx::array packed_encode(
    const std::shared_ptr<const PackedEncoder>& encoder,
    const mx::array& mel);

/// audio [batch, context, width] -> keys, values of each layer, uint32
/// [batch, heads x words of a head].
std::vector<mx::array> packed_remember(
    const std::shared_ptr<const PackedDecoder>& decoder,
    const mx::array& audio);

/// x [rows, steps, width] -> hidden states of the same shape; the cache grows
/// by `steps`. `memory` is packed_remember()'s of audio of `length` frames, of
/// which windows[i] is read by the i-th group of rows.
mx::array packed_decode(
    const std::shared_ptr<const PackedDecoder>& decoder,
    const std::shared_ptr<PackedCache>& cache,
    const mx::array& x,
    const std::vector<mx::array>& memory,
    int length,
    std::vector<int> windows);

} // namespace mlx_audio::whisper
