#include "models/qwen3_tts/frame_cpu.h"

#include <algorithm>

#include "kernels/gemv.h"
#include "kernels/linear_cpu.h"

namespace mlx_audio::qwen3_tts {

namespace {

void product(
    const float* x,
    size_t rows,
    const kernels::WeightMatrix& w,
    const float* bias,
    float* y) {
  kernels::GemmArgs args;
  args.x = x;
  args.m = static_cast<int64_t>(rows);
  args.w = w;
  args.bias = bias;
  args.y = y;
  kernels::linear_product(args);
}

} // namespace

FrameCpu::FrameCpu(const Talker& talker)
    : hidden_(talker.decoder_.config().hidden),
      talker_(talker.decoder_),
      predictor_(talker.predictor_.decoder_),
      head_(weights_.matrix(talker.head_.weight())) {
  const CodePredictor& p = talker.predictor_;
  talker_.make_kernel();
  predictor_.make_kernel();
  for (const auto& head : p.heads_) {
    heads_.push_back(weights_.matrix(head.weight()));
  }
  if (p.projection_) {
    projection_ = weights_.matrix(p.projection_->weight());
    if (p.projection_->weight().bias) {
      projection_bias_ = weights_.floats(*p.projection_->weight().bias);
    }
  }
  nn::CpuWeights tables; // not read as a whole; the arrays outlive this
  embeddings_.push_back(tables.matrix(talker.codec_embedding_.table()));
  for (const auto& embedding : p.embeddings_) {
    embeddings_.push_back(tables.matrix(embedding.table()));
  }
}

bool FrameCpu::takes(const Talker& talker) {
  const CodePredictor& p = talker.predictor_;
  std::vector<const kernels::LinearWeight*> others{
      &talker.head_.weight(), &talker.codec_embedding_.table()};
  for (const auto& head : p.heads_) {
    others.push_back(&head.weight());
  }
  for (const auto& embedding : p.embeddings_) {
    others.push_back(&embedding.table());
  }
  if (p.projection_) {
    others.push_back(&p.projection_->weight());
  }
  mx::array x = mx::zeros({1}, mx::float32);
  return talker.decoder_.runs_as_kernel() && p.decoder_.runs_as_kernel() &&
      std::all_of(others.begin(), others.end(), [&](const auto* weight) {
           return kernels::linear_cpu_takes(x, *weight);
         });
}

void FrameCpu::advance(
    std::span<nn::KvCache* const> caches,
    const float* x,
    float* hidden,
    float* logits) const {
  talker_.step_cpu(x, 1, caches, hidden);
  product(hidden, caches.size(), head_, nullptr, logits);
}

void FrameCpu::predict(
    std::span<nn::KvCache* const> caches,
    const float* hidden,
    std::span<const int> first,
    const Pick& pick) const {
  size_t batch = caches.size();
  size_t wide = hidden_;
  size_t narrow = predictor_.config().hidden;
  // The talker's hidden state, then the first code.
  std::vector<float> x(batch * 2 * wide);
  std::vector<float> narrowed(projection_ ? batch * 2 * narrow : 0);
  std::vector<float> y(batch * 2 * narrow);
  std::vector<float> last(batch * narrow);
  std::vector<int> codes(first.begin(), first.end());
  for (size_t b = 0; b < batch; ++b) {
    std::copy_n(hidden + b * wide, wide, x.data() + 2 * b * wide);
    kernels::unpack_row(
        embeddings_[0], codes[b], x.data() + (2 * b + 1) * wide);
  }
  int steps = 2;
  for (size_t group = 1; group <= heads_.size(); ++group) {
    const float* in = x.data();
    if (projection_) {
      product(
          in, batch * steps, *projection_, projection_bias_, narrowed.data());
      in = narrowed.data();
    }
    predictor_.step_cpu(in, steps, caches, y.data());
    for (size_t b = 0; b < batch; ++b) {
      std::copy_n(
          y.data() + (steps * (b + 1) - 1) * narrow,
          narrow,
          last.data() + b * narrow);
    }
    const auto& head = heads_[group - 1];
    std::vector<float> logits(batch * head.rows);
    product(last.data(), batch, head, nullptr, logits.data());
    for (size_t b = 0; b < batch; ++b) {
      codes[b] = pick(
          b,
          static_cast<int>(group),
          std::span(logits).subspan(b * head.rows, head.rows));
      if (group < heads_.size()) {
        kernels::unpack_row(embeddings_[group], codes[b], x.data() + b * wide);
      }
    }
    steps = 1;
  }
}

void FrameCpu::add_embeddings(std::span<const int> codes, float* y) const {
  std::vector<float> row(hidden_);
  for (size_t g = 0; g < codes.size(); ++g) {
    kernels::unpack_row(embeddings_[g], codes[g], row.data());
    for (int i = 0; i < hidden_; ++i) {
      y[i] += row[i];
    }
  }
}

kernels::OpCost FrameCpu::cost(size_t sequences) const {
  int rows = static_cast<int>(sequences);
  auto talker = talker_.kernel_cost(rows);
  auto predictor = predictor_.kernel_cost(rows);
  auto steps = static_cast<double>(heads_.size());
  return {
      talker.flops + (steps + 1) * predictor.flops +
          2 * rows * weights_.count(),
      talker.bytes + steps * predictor.bytes + weights_.bytes()};
}

} // namespace mlx_audio::qwen3_tts
