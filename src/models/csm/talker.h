// The language model of CSM: text and codes in, the codes of each 80 ms frame
// out. A backbone makes the first code, a small depth decoder the others.
// Follows SesameAILabs/csm models.py.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "models/csm/config.h"
#include "models/frame_cpu.h"
#include "nn/decoder.h"

namespace mlx_audio::csm {

namespace mx = mlx::core;

class Talker {
 public:
  Talker(nn::Weights& weights, const Config& config);

  struct Output {
    mx::array hidden; // [batch, hidden] after the last step
    mx::array logits; // of the first code, [batch, vocab], f32
  };
  /// x [batch, steps, hidden], the next positions of sequences.
  Output step(const mx::array& x, std::span<nn::KvCache* const> caches) const;

  /// x [batch, steps, hidden]: the backbone's hidden state and a frame's codes
  /// so far -> logits of codebook `group` (1..), [batch, vocab], f32.
  mx::array depth_step(
      const mx::array& x,
      int group,
      std::span<nn::KvCache* const> caches) const;

  /// Text ids -> [ids, hidden].
  mx::array embed_text(std::span<const int> ids) const;
  /// Codes of one codebook -> [codes, hidden].
  mx::array embed_codes(std::span<const int> codes, int group) const;
  /// Frames of all codebooks, [frames, groups] -> the sums [frames, hidden].
  mx::array embed_frames(const mx::array& codes) const;

  nn::KvCache make_cache() const {
    return backbone_.make_cache();
  }
  nn::KvCache make_depth_cache() const {
    return depth_.make_cache();
  }
  /// Frames as one op, where the CPU's kernels run both decoders; else null.
  std::shared_ptr<const FrameCpu> frame_cpu() const;

 private:
  FrameParts parts() const;

  mx::Dtype dtype_; // of activations
  int vocab_;
  int groups_;
  nn::Embedding text_embedding_;
  nn::Embedding audio_embedding_; // of all codebooks, one after the other
  nn::Decoder backbone_;
  nn::Linear head_;
  nn::Decoder depth_;
  nn::Linear projection_;
  std::vector<nn::Linear> heads_; // of the codebooks after the first
  mutable std::shared_ptr<const FrameCpu> frame_cpu_; // made at first use
};

} // namespace mlx_audio::csm
