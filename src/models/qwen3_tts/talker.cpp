#include "models/qwen3_tts/talker.h"

#include "kernels/cpu_op.h"

namespace mlx_audio::qwen3_tts {

namespace {

mx::array ids_array(std::span<const int> ids) {
  return mx::array(ids.data(), {static_cast<int>(ids.size())}, mx::int32);
}

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
  if (kernels::use_cpu_kernels()) {
    return mx::float32;
  }
  auto found = weights.tensors().find("talker.model.norm.weight");
  return found == weights.tensors().end() ? mx::float32 : found->second.dtype();
}

} // namespace

CodePredictor::CodePredictor(
    nn::Weights& weights,
    const std::string& path,
    const Config& config)
    : decoder_(weights, path + ".model", config.predictor) {
  for (int i = 0; i + 1 < config.groups; ++i) {
    auto index = std::to_string(i);
    embeddings_.emplace_back(
        weights,
        path + ".model.codec_embedding." + index,
        config.codebook,
        config.talker.hidden);
    heads_.emplace_back(
        weights,
        path + ".lm_head." + index,
        config.predictor.hidden,
        config.codebook);
  }
  if (config.predictor.hidden != config.talker.hidden) {
    projection_.emplace(
        weights,
        path + ".small_to_mtp_projection",
        config.talker.hidden,
        config.predictor.hidden);
  }
}

mx::array CodePredictor::step(
    const mx::array& x,
    int group,
    std::span<nn::KvCache* const> caches) const {
  auto h = decoder_(projection_ ? (*projection_)(x) : x, caches);
  return mx::astype(heads_[group - 1](last_step(h)), mx::float32);
}

Talker::Talker(nn::Weights& weights, const Config& config)
    : dtype_(activation_dtype(weights)),
      codec_embedding_(
          weights,
          "talker.model.codec_embedding",
          config.vocab,
          config.talker.hidden),
      text_embedding_(
          weights,
          "talker.model.text_embedding",
          config.text_vocab,
          config.text_hidden),
      text_fc1_(
          weights,
          "talker.text_projection.linear_fc1",
          config.text_hidden,
          config.text_hidden),
      text_fc2_(
          weights,
          "talker.text_projection.linear_fc2",
          config.text_hidden,
          config.talker.hidden),
      decoder_(weights, "talker.model", config.talker),
      head_(weights, "talker.codec_head", config.talker.hidden, config.vocab),
      predictor_(weights, "talker.code_predictor", config) {}

Talker::Output Talker::step(
    const mx::array& x,
    std::span<nn::KvCache* const> caches) const {
  auto hidden = last_step(decoder_(x, caches));
  return {hidden, mx::astype(head_(hidden), mx::float32)};
}

mx::array Talker::embed_text(std::span<const int> ids) const {
  auto x = mx::astype(text_embedding_(ids_array(ids)), dtype_);
  return text_fc2_(text_fc1_(x, nn::Activation::silu));
}

mx::array Talker::embed_codes(std::span<const int> codes) const {
  return mx::astype(codec_embedding_(ids_array(codes)), dtype_);
}

mx::array Talker::embed_frames(const mx::array& codes) const {
  int frames = codes.shape(0);
  int groups = codes.shape(1);
  auto column = [&](int g) {
    return mx::reshape(mx::slice(codes, {0, g}, {frames, g + 1}), {frames});
  };
  auto sum = mx::astype(codec_embedding_(column(0)), dtype_);
  for (int g = 1; g < groups; ++g) {
    sum = sum + mx::astype(predictor_.embed(column(g), g), dtype_);
  }
  return sum;
}

FrameParts Talker::parts() const {
  FrameParts parts{
      .main = &decoder_,
      .depth = &predictor_.decoder_,
      .head = &head_.weight(),
      .embeddings = {{&codec_embedding_.table()}}};
  for (const auto& embedding : predictor_.embeddings_) {
    parts.embeddings.push_back({&embedding.table()});
  }
  for (const auto& head : predictor_.heads_) {
    parts.heads.push_back(&head.weight());
  }
  if (predictor_.projection_) {
    parts.projection = &predictor_.projection_->weight();
  }
  return parts;
}

std::shared_ptr<const FrameCpu> Talker::frame_cpu() const {
  if (frame_cpu_ == nullptr && FrameCpu::takes(parts())) {
    frame_cpu_ = std::make_shared<FrameCpu>(parts());
  }
  return frame_cpu_;
}

} // namespace mlx_audio::qwen3_tts
