// The transformer of today's language models (Llama, Qwen 2 and 3): RMS norm,
// rotary positions, grouped-query attention with a cache, gated SiLU MLP.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/cpu_op.h"
#include "nn/kv_cache.h"
#include "nn/layers.h"
#include "nn/rope.h"

namespace mlx_audio::nn {

struct DecoderConfig {
  int layers = 0;
  int hidden = 0;
  int intermediate = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  float rope_theta = 10000;
  std::optional<RopeScaling> rope_scaling = {};
  /// Rotary pairs are (2 i, 2 i + 1) as in Llama's own weights, not
  /// (i, i + head_dim / 2) as in transformers'.
  bool rope_interleaved = false;
  float norm_eps = 1e-6f;
  bool qk_norm = false; ///< RMS norm of each head's query and key (Qwen 3)
  bool qkv_bias = false; ///< q, k and v have biases (Qwen 2)
  bool layer_scale = false; ///< residual branches times a vector (Touvron 2021)
  int window = 0; ///< positions that a query sees, itself included; 0: all
};

/// One layer's tensors: `path.self_attn.{q,k,v,o}_proj`, `path.mlp.*_proj`,
/// `path.input_layernorm`, `path.post_attention_layernorm`, and what the
/// configuration adds.
struct DecoderLayer {
  DecoderLayer(
      Weights& weights,
      const std::string& path,
      const DecoderConfig& config);

  mx::array input_norm; // [hidden]
  mx::array post_norm; // [hidden]
  std::optional<mx::array> q_norm; // [head_dim]
  std::optional<mx::array> k_norm; // [head_dim]
  std::optional<mx::array> attention_scale; // [hidden]
  std::optional<mx::array> mlp_scale; // [hidden]
  Linear q;
  Linear k;
  Linear v;
  Linear o;
  Linear gate;
  Linear up;
  Linear down;
};

class Decoder {
 public:
  /// Layers `path.layers.N` and the final norm `path.norm`.
  Decoder(
      Weights& weights,
      const std::string& path,
      const DecoderConfig& config);

  /// x [batch, steps, hidden], the next positions of `batch` sequences, one
  /// cache each -> hidden states after the final norm, of the same shape. On
  /// the CPU it runs at once as one kernel (kernels/decoder_step_cpu.h) unless
  /// there is a window or a layer scale.
  mx::array operator()(const mx::array& x, std::span<KvCache* const> caches)
      const;

  /// True if a step is one kernel of the CPU's.
  bool runs_as_kernel() const {
    return kernel_ && kernels::use_cpu_kernels();
  }
  /// Readies the weights for step_cpu(); call it before, outside of CPU ops.
  void make_kernel() const;
  /// A step in this thread, without MLX, where runs_as_kernel(): x and y
  /// [caches, steps, hidden]. For use inside a CPU op.
  void step_cpu(
      const float* x,
      int steps,
      std::span<KvCache* const> caches,
      float* y) const;
  /// What a step of so many rows costs, after make_kernel().
  kernels::OpCost kernel_cost(int rows) const;

  KvCache make_cache() const {
    return {config_.layers, config_.kv_heads, config_.head_dim, config_.window};
  }
  const DecoderConfig& config() const {
    return config_;
  }

 private:
  bool has_kernel() const;
  mx::array run_kernel(const mx::array& x, std::span<KvCache* const> caches)
      const;
  mx::array attention(
      const DecoderLayer& layer,
      int index,
      const mx::array& x,
      std::span<KvCache* const> caches) const;

  DecoderConfig config_;
  std::vector<DecoderLayer> layers_;
  mx::array norm_; // [hidden]
  std::vector<double> rope_frequencies_; // [head_dim / 2]
  std::optional<mx::array> rope_periods_; // their inverses, if scaled
  struct Kernel; // the weights as the CPU kernel wants them
  std::shared_ptr<Kernel> kernel_;
};

} // namespace mlx_audio::nn
