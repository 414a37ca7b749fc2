// MossFormer2's mask network (Zhao et al. 2024; upstream: ClearerVoice-Studio,
// models/mossformer2_se) for its first speaker, the clean speech.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/gated_attention.h"
#include "kernels/mossformer_bf16.h"
#include "models/mossformer2_se/config.h"
#include "nn/rounded_linear.h"

namespace mlx_audio::mossformer2_se {

namespace mx = mlx::core;

/// Of torch's LayerNorm and upstream's ScaleNorm.
inline constexpr float kNormEps = 1e-5f;

/// FFConvM: a norm's result x -> silu(linear(x)), plus its depthwise
/// convolution.
struct FeedForwardConv {
  nn::Linear linear;
  mx::array conv; // [kernel, out]

  mx::array operator()(
      const mx::array& x,
      const std::optional<mx::array>& residual = std::nullopt) const;
};

struct AttentionLayer {
  FeedForwardConv to_hidden; // v | u | queries and keys
  FeedForwardConv to_out;
  mx::array gamma; // [4, qk]
  mx::array beta;
  kernels::GatedAttentionOptions options;

  mx::array operator()(const mx::array& x, const mx::array& rotary) const;
};

struct FsmnLayer {
  nn::Linear conv1;
  mx::array slope; // [1]
  mx::array norm_weight; // [inner]
  mx::array norm_bias;
  FeedForwardConv to_u;
  FeedForwardConv to_v;
  nn::Linear linear;
  nn::Linear project;
  mx::array memory; // [kernel, inner]
  nn::Linear conv2;

  mx::array operator()(const mx::array& x) const;
};

/// The layers in the form of kernels/mossformer_bf16.h, or null if this CPU,
/// the layer's sizes or its weights' type are not for it.
std::shared_ptr<const kernels::PairedAttention> paired(
    const AttentionLayer& layer);
std::shared_ptr<const kernels::PairedFsmn> paired(const FsmnLayer& layer);

/// One of the blocks that the network is a row of.
struct Block {
  // Either of two; the one not used is empty.
  std::optional<AttentionLayer> attention = {};
  std::shared_ptr<const kernels::PairedAttention> paired_attention = {};
  std::optional<FsmnLayer> fsmn = {};
  std::shared_ptr<const kernels::PairedFsmn> paired_fsmn = {};

  Block(AttentionLayer a, FsmnLayer f);

  mx::array attend(const mx::array& x, const mx::array& rotary) const {
    return attention ? (*attention)(x, rotary)
                     : kernels::paired_attention(x, rotary, paired_attention);
  }
  mx::array remember(const mx::array& x) const {
    return fsmn ? (*fsmn)(x) : kernels::paired_fsmn(x, paired_fsmn);
  }
};

/// Named intermediates, for tests and --dump.
using Taps = std::map<std::string, mx::array>;

class MaskNet {
 public:
  /// Takes all its tensors from `weights` (either layout; see weights.h), with
  /// linear layers in `dtype` and the rest in f32.
  MaskNet(nn::Weights& weights, const Config& config, mx::Dtype dtype);

  /// features [frames, in] -> mask [frames, bins], f32, 0 or more.
  mx::array operator()(const mx::array& features, Taps* taps = nullptr) const;

  int features() const {
    return features_;
  }
  int bins() const {
    return bins_;
  }

 private:
  void prepare_tables(int frames) const;

  int features_;
  int dim_;
  int bins_;
  mx::array norm_weight_; // [features]
  mx::array norm_bias_;
  nn::RoundedLinear encoder_;
  std::vector<float> frequencies_; // of the position embedding, [dim / 2]
  float position_scale_;
  std::vector<float> rotary_frequencies_;
  std::vector<Block> blocks_;
  mx::array final_weight_; // [dim]
  mx::array final_bias_;
  mx::array group_weight_; // [dim]
  mx::array group_bias_;
  mx::array slope_;
  nn::RoundedLinear output_; // value | gate, with conv1d_out folded in
  nn::RoundedLinear decoder_;
  // Of the last length; every window of a long file has the same one.
  mutable mx::array positions_; // [frames, dim]
  mutable mx::array rotary_; // [frames, 2 pairs]
};

} // namespace mlx_audio::mossformer2_se
