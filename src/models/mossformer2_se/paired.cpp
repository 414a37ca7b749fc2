// Layers in bf16 pairs; see kernels/mossformer_bf16.h and kernels/packed.h.
#include "kernels/cpu_op.h"
#include "kernels/panels.h"
#include "models/mossformer2_se/network.h"

namespace mlx_audio::mossformer2_se {

namespace {

using kernels::PairedWeight;

bool wanted(const nn::Linear& linear) {
  return linear.weight().weight.dtype() == mx::bfloat16 &&
      kernels::use_cpu_kernels() && kernels::has_bf16_pairs();
}

PairedWeight pairs_of(const nn::Linear& linear) {
  return PairedWeight(linear.weight().weight);
}

mx::array bias_of(const nn::Linear& linear) {
  return *linear.weight().bias;
}

mx::array joined(const mx::array& a, const mx::array& b, int axis) {
  auto both = mx::concatenate({a, b}, axis);
  mx::eval(both);
  return both;
}

kernels::PairedFeedForwardConv paired(const FeedForwardConv& f) {
  return {
      .linear = pairs_of(f.linear), .bias = bias_of(f.linear), .conv = f.conv};
}

} // namespace

std::shared_ptr<const kernels::PairedAttention> paired(
    const AttentionLayer& a) {
  if (!wanted(a.to_hidden.linear)) {
    return nullptr;
  }
  auto layer =
      std::make_shared<kernels::PairedAttention>(kernels::PairedAttention{
          .to_hidden = paired(a.to_hidden),
          .to_out = paired(a.to_out),
          .gamma = a.gamma,
          .beta = a.beta,
          .options = a.options});
  return kernels::paired_attention_takes(*layer) ? layer : nullptr;
}

std::shared_ptr<const kernels::PairedFsmn> paired(const FsmnLayer& f) {
  if (!wanted(f.conv1)) {
    return nullptr;
  }
  const auto& u = f.to_u.linear;
  const auto& v = f.to_v.linear;
  auto layer = std::make_shared<kernels::PairedFsmn>(kernels::PairedFsmn{
      .conv1 = pairs_of(f.conv1),
      .conv1_bias = bias_of(f.conv1),
      .slope = f.slope,
      .norm_weight = f.norm_weight,
      .norm_bias = f.norm_bias,
      .to_uv =
          {.linear =
               PairedWeight(joined(u.weight().weight, v.weight().weight, 0)),
           .bias = joined(bias_of(u), bias_of(v), 0),
           .conv = joined(f.to_u.conv, f.to_v.conv, 1)},
      .linear = pairs_of(f.linear),
      .linear_bias = bias_of(f.linear),
      .project = pairs_of(f.project),
      .memory = f.memory,
      .conv2 = pairs_of(f.conv2),
      .conv2_bias = bias_of(f.conv2),
      .eps = kNormEps});
  mx::eval(
      layer->conv1_bias,
      layer->slope,
      layer->norm_weight,
      layer->norm_bias,
      layer->linear_bias,
      layer->memory,
      layer->conv2_bias);
  return kernels::paired_fsmn_takes(*layer) ? layer : nullptr;
}

Block::Block(AttentionLayer a, FsmnLayer f)
    : paired_attention(paired(a)), paired_fsmn(paired(f)) {
  if (!paired_attention) {
    attention = std::move(a);
  }
  if (!paired_fsmn) {
    fsmn = std::move(f);
  }
}

} // namespace mlx_audio::mossformer2_se
