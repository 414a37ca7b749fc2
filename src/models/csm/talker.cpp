#include "models/csm/talker.h"

namespace mlx_audio::csm {

namespace {

// [batch, steps, dim] -> [batch, dim]
mx::array last_step(const mx::array& x) {
  int batch = x.shape(0);
  int steps = x.shape(1);
  int dim = x.shape(2);
  return mx::reshape(
      mx::slice(x, {0, steps - 1, 0}, {batch, steps, dim}), {batch, dim});
}

// The CPU's kernels compute in f32 whatever the weights are; cards in the
// checkpoint's type.
mx::Dtype activation_dtype(nn::Weights& weights) {
  auto found = weights.tensors().find("backbone.norm.weight");
  return kernels::use_cpu_kernels() || found == weights.tensors().end()
      ? mx::float32
      : found->second.dtype();
}

// `audio_head` [groups - 1, hidden, vocab] as matrices [vocab, hidden].
std::vector<nn::Linear>
take_heads(nn::Weights& weights, int count, int hidden, int vocab) {
  auto stored = weights.take("audio_head", {count, hidden, vocab});
  auto turned = mx::contiguous(mx::transpose(stored, {0, 2, 1}));
  turned.eval();
  weights.release("audio_head");
  std::vector<nn::Linear> heads;
  for (int i = 0; i < count; ++i) {
    auto one = mx::slice(turned, {i, 0, 0}, {i + 1, vocab, hidden});
    heads.emplace_back(
        kernels::LinearWeight{
            .weight = mx::reshape(one, {vocab, hidden}),
            .paths = {"audio_head." + std::to_string(i)}});
  }
  return heads;
}

} // namespace

Talker::Talker(nn::Weights& weights, const Config& c)
    : dtype_(activation_dtype(weights)),
      vocab_(c.vocab),
      groups_(c.groups),
      text_embedding_(
          weights,
          "text_embeddings",
          c.text_vocab,
          c.backbone.hidden),
      audio_embedding_(
          weights,
          "audio_embeddings",
          c.vocab * c.groups,
          c.backbone.hidden),
      backbone_(weights, "backbone", c.backbone),
      head_(weights, "codebook0_head", c.backbone.hidden, c.vocab),
      depth_(weights, "decoder", c.depth),
      projection_(weights, "projection", c.backbone.hidden, c.depth.hidden),
      heads_(take_heads(weights, c.groups - 1, c.depth.hidden, c.vocab)) {}

Talker::Output Talker::step(
    const mx::array& x,
    std::span<nn::KvCache* const> caches) const {
  auto hidden = last_step(backbone_(x, caches));
  return {hidden, mx::astype(head_(hidden), mx::float32)};
}

mx::array Talker::depth_step(
    const mx::array& x,
    int group,
    std::span<nn::KvCache* const> caches) const {
  auto hidden = last_step(depth_(projection_(x), caches));
  return mx::astype(heads_[group - 1](hidden), mx::float32);
}

mx::array Talker::embed_text(std::span<const int> ids) const {
  auto rows = mx::array(ids.data(), {static_cast<int>(ids.size())}, mx::int32);
  return mx::astype(text_embedding_(rows), dtype_);
}

mx::array Talker::embed_codes(std::span<const int> codes, int group) const {
  auto rows =
      mx::array(codes.data(), {static_cast<int>(codes.size())}, mx::int32);
  return mx::astype(
      audio_embedding_(rows + mx::array(group * vocab_, mx::int32)), dtype_);
}

mx::array Talker::embed_frames(const mx::array& codes) const {
  auto first = mx::arange(0, groups_ * vocab_, vocab_, mx::int32);
  return mx::sum(mx::astype(audio_embedding_(codes + first), dtype_), 1);
}

FrameParts Talker::parts() const {
  FrameParts parts{
      .main = &backbone_,
      .depth = &depth_,
      .head = &head_.weight(),
      .projection = &projection_.weight()};
  for (int g = 0; g < groups_; ++g) {
    parts.embeddings.push_back({&audio_embedding_.table(), g * vocab_});
  }
  for (const auto& head : heads_) {
    parts.heads.push_back(&head.weight());
  }
  return parts;
}

std::shared_ptr<const FrameCpu> Talker::frame_cpu() const {
  if (frame_cpu_ == nullptr && FrameCpu::takes(parts())) {
    frame_cpu_ = std::make_shared<FrameCpu>(parts());
  }
  return frame_cpu_;
}

} // namespace mlx_audio::csm
