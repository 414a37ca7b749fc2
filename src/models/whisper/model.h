// Whisper's two transformers as functions of arrays.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kernels/kv_cache.h"
#include "models/whisper/checkpoint.h"
#include "models/whisper/config.h"
#include "models/whisper/packed.h"
#include "nn/layers.h"

namespace mlx_audio::whisper {

namespace mx = mlx::core;

/// What the decoder reads of one batch of windows, for each of its layers.
using AudioMemory = std::vector<kernels::CrossMemory>;

/// How weights and caches are kept.
struct Precision {
  mx::Dtype activations = mx::float32;
  /// 8 quantizes the decoder's matrices to 8 bits in groups of 64 at load; 0
  /// keeps the checkpoint's.
  int decoder_bits = 0;
  int encoder_bits = 0;
  /// Products over packed weights, if this CPU has them and activations are
  /// f32.
  std::optional<PackedMode> packed = PackedMode::f32;
  /// Keeps the encoder's keys and values in `activations` on the CPU too.
  bool precise_memory = false;
};

class DecoderState;

class WhisperModel {
 public:
  /// Takes every tensor of the checkpoint; see nn::Weights for errors.
  WhisperModel(
      const WhisperConfig& config,
      Checkpoint checkpoint,
      const Precision& precision = {});
  ~WhisperModel();
  WhisperModel(WhisperModel&&) noexcept;

  const WhisperConfig& config() const {
    return config_;
  }

  /// mel [batch, 3000, n_mels] -> [batch, 1500, width].
  mx::array encode(const mx::array& mel) const;

  /// Keys and values of encode()'s result for all decoder layers.
  AudioMemory remember(const mx::array& audio) const;

  /// tokens [rows, steps] int32 -> the decoder's last hidden states [rows,
  /// steps, width]; the state grows by `steps`.
  mx::array decode(const mx::array& tokens, DecoderState& state) const;

  /// hidden [..., width] -> logits [..., n_vocab] in f32.
  mx::array logits(const mx::array& hidden) const;

  /// One pass without cache over tokens [1, steps] and encode()'s result of one
  /// window.
  struct Alignment {
    mx::array hidden; // [1, steps, width]
    mx::array scores; // [alignment heads, steps, 1500], before softmax, f32
  };
  Alignment align(const mx::array& tokens, const mx::array& audio) const;

 private:
  struct Norm;
  struct EncoderBlock;
  struct DecoderBlock;
  friend class DecoderState;

  void pack(PackedMode mode);

  WhisperConfig config_;
  Precision precision_;
  std::unique_ptr<nn::Linear> conv1_;
  std::unique_ptr<nn::Linear> conv2_;
  mx::array audio_positions_;
  mx::array text_positions_;
  std::vector<EncoderBlock> encoder_;
  std::unique_ptr<Norm> encoder_norm_;
  std::unique_ptr<nn::Embedding> embedding_;
  std::unique_ptr<nn::Linear> projection_; // the embedding as logits
  std::vector<DecoderBlock> decoder_;
  std::unique_ptr<Norm> decoder_norm_;
  std::shared_ptr<const PackedEncoder> packed_encoder_; // or null
  std::shared_ptr<const PackedDecoder> packed_decoder_;
};

/// Where the decoding of a batch of windows stands.
class DecoderState {
 public:
  /// @param max_rows windows x candidates of each.
  DecoderState(
      const WhisperModel& model,
      std::shared_ptr<const AudioMemory> memory,
      int max_rows);

  int length() const {
    if (packed_) {
      return packed_->length;
    }
    return caches_.empty() ? 0 : caches_[0].length();
  }
  /// See kernels::KvCache::reorder. Rows of one window must stay together.
  void reorder(std::span<const int> sources);
  void reset();
  /// The windows that are still decoded, by their place in the memory; the rows
  /// must have been reordered to match.
  void set_windows(std::vector<int> windows) {
    windows_ = std::move(windows);
  }

 private:
  friend class WhisperModel;
  std::shared_ptr<const AudioMemory> memory_;
  std::vector<int> windows_; // empty: all
  std::vector<kernels::KvCache> caches_;
  std::shared_ptr<PackedCache> packed_; // in place of caches_
};

} // namespace mlx_audio::whisper
