// A frame of the talker on the CPU without MLX ops: its weights in the kernels'
// form and plain memory in between. A frame is 16 small steps, which as graphs
// of ops would cost more to build than to compute.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "models/qwen3_tts/talker.h"
#include "nn/cpu_weights.h"

namespace mlx_audio::qwen3_tts {

class FrameCpu {
 public:
  explicit FrameCpu(const Talker& talker);
  /// True if the CPU's kernels run all of the talker.
  static bool takes(const Talker& talker);

  /// The talker's next step of some sequences: x [caches, hidden] -> hidden
  /// [caches, hidden], logits [caches, vocab].
  void advance(
      std::span<nn::KvCache* const> caches,
      const float* x,
      float* hidden,
      float* logits) const;

  /// Chooses codebook `group`'s code of a sequence from logits, which it may
  /// change.
  using Pick =
      std::function<int(size_t sequence, int group, std::span<float> logits)>;

  /// The codes after the first: hidden [caches, hidden] of the talker, codes
  /// [caches], in the order of the codebooks.
  void predict(
      std::span<nn::KvCache* const> caches,
      const float* hidden,
      std::span<const int> first,
      const Pick& pick) const;

  /// y [hidden] += the embeddings of a frame's codes.
  void add_embeddings(std::span<const int> codes, float* y) const;

  kernels::OpCost cost(size_t sequences) const;
  int hidden() const {
    return hidden_;
  }
  int vocab() const {
    return static_cast<int>(head_.rows);
  }

 private:
  int hidden_; // of the talker
  nn::Decoder talker_;
  nn::Decoder predictor_;
  nn::CpuWeights weights_;
  kernels::WeightMatrix head_;
  std::vector<kernels::WeightMatrix> embeddings_; // of all codebooks
  std::vector<kernels::WeightMatrix> heads_; // of those after the first
  std::optional<kernels::WeightMatrix> projection_;
  const float* projection_bias_ = nullptr;
};

} // namespace mlx_audio::qwen3_tts
