// The language model of Qwen3-TTS: text and codes in, the 16 codes of each
// 80 ms frame out. Follows qwen_tts/core/models/modeling_qwen3_tts.py.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/frame_cpu.h"
#include "models/qwen3_tts/config.h"
#include "nn/decoder.h"

namespace mlx_audio::qwen3_tts {

/// Predicts the other codes of a frame from its first one and the talker's
/// hidden state, one codebook after the other.
class CodePredictor {
 public:
  CodePredictor(
      nn::Weights& weights,
      const std::string& path,
      const Config& config);

  /// x [batch, steps, talker hidden] -> logits of codebook `group` (1..) after
  /// the last step, [batch, codebook].
  mx::array step(
      const mx::array& x,
      int group,
      std::span<nn::KvCache* const> caches) const;

  /// codes [...] of codebook `group` (1..) -> [..., talker hidden].
  mx::array embed(const mx::array& codes, int group) const {
    return embeddings_[group - 1](codes);
  }
  nn::KvCache make_cache() const {
    return decoder_.make_cache();
  }

 private:
  friend class Talker;

  std::vector<nn::Embedding> embeddings_;
  std::vector<nn::Linear> heads_;
  std::optional<nn::Linear> projection_;
  nn::Decoder decoder_;
};

class Talker {
 public:
  Talker(nn::Weights& weights, const Config& config);

  struct Output {
    mx::array hidden; // [batch, hidden] after the last step
    mx::array logits; // [batch, vocab], f32
  };
  Output step(const mx::array& x, std::span<nn::KvCache* const> caches) const;

  /// Text ids -> [ids, hidden].
  mx::array embed_text(std::span<const int> ids) const;
  /// Codes of the first codebook -> [codes, hidden].
  mx::array embed_codes(std::span<const int> codes) const;
  /// Frames of all codebooks, [frames, groups] -> the sums [frames, hidden].
  mx::array embed_frames(const mx::array& codes) const;

  const CodePredictor& predictor() const {
    return predictor_;
  }
  nn::KvCache make_cache() const {
    return decoder_.make_cache();
  }
  mx::Dtype dtype() const {
    return dtype_;
  }
  /// Frames as one op, where the CPU's kernels run both decoders; else null.
  std::shared_ptr<const FrameCpu> frame_cpu() const;

 private:
  FrameParts parts() const;

  mx::Dtype dtype_; // of activations
  nn::Embedding codec_embedding_;
  nn::Embedding text_embedding_;
  nn::Linear text_fc1_;
  nn::Linear text_fc2_;
  nn::Decoder decoder_;
  nn::Linear head_;
  CodePredictor predictor_;
  mutable std::shared_ptr<const FrameCpu> frame_cpu_; // made at first use
};

} // namespace mlx_audio::qwen3_tts
