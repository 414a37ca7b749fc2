// A frame of codes on the CPU without MLX ops: weights in the kernels' form and
// plain memory in between. A frame is a step of a language model and a small
// step for each further codebook, which as graphs of ops would cost more to
// build than to compute.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "nn/cpu_weights.h"
#include "nn/decoder.h"

namespace mlx_audio {

/// The layers of a model that makes a frame's first code with one decoder and
/// the others, one after the other, with a second.
struct FrameParts {
  const nn::Decoder* main = nullptr;
  const nn::Decoder* depth = nullptr;
  const kernels::LinearWeight* head = nullptr; // of the first code
  std::vector<const kernels::LinearWeight*> heads = {}; // of the others
  /// Where a codebook's embeddings begin; all are as wide as `main`.
  struct Table {
    const kernels::LinearWeight* rows;
    int first = 0;
  };
  std::vector<Table> embeddings = {}; // of all codebooks
  const kernels::LinearWeight* projection = nullptr; // into `depth`, if any
};

class FrameCpu {
 public:
  explicit FrameCpu(const FrameParts& parts);
  /// True if the CPU's kernels run all of it.
  static bool takes(const FrameParts& parts);

  /// The main decoder's next step of some sequences: x [caches, hidden] ->
  /// hidden [caches, hidden], logits [caches, vocab].
  void advance(
      std::span<nn::KvCache* const> caches,
      const float* x,
      float* hidden,
      float* logits) const;

  /// Chooses codebook `group`'s code of a sequence from logits, which it may
  /// change.
  using Pick =
      std::function<int(size_t sequence, int group, std::span<float> logits)>;

  /// The codes after the first: hidden [caches, hidden] of the main decoder,
  /// codes [caches], in the order of the codebooks.
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
  struct Table {
    kernels::WeightMatrix rows;
    int first;
  };
  void embedding(size_t group, int code, float* y) const;

  int hidden_; // of the main decoder
  nn::Decoder main_;
  nn::Decoder depth_;
  nn::CpuWeights weights_;
  kernels::WeightMatrix head_;
  std::vector<Table> embeddings_; // of all codebooks
  std::vector<kernels::WeightMatrix> heads_; // of those after the first
  std::optional<kernels::WeightMatrix> projection_;
  const float* projection_bias_ = nullptr;
};

} // namespace mlx_audio
