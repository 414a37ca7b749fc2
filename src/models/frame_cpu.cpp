#include "models/frame_cpu.h"

#include <algorithm>

#include "kernels/gemv.h"
#include "kernels/linear_cpu.h"

namespace mlx_audio {

namespace mx = mlx::core;

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

FrameCpu::FrameCpu(const FrameParts& parts)
    : hidden_(parts.main->config().hidden),
      main_(*parts.main),
      depth_(*parts.depth),
      head_(weights_.matrix(*parts.head)) {
  main_.make_kernel();
  depth_.make_kernel();
  for (const auto* head : parts.heads) {
    heads_.push_back(weights_.matrix(*head));
  }
  if (parts.projection != nullptr) {
    projection_ = weights_.matrix(*parts.projection);
    if (parts.projection->bias) {
      projection_bias_ = weights_.floats(*parts.projection->bias);
    }
  }
  nn::CpuWeights tables; // not read as a whole; the arrays outlive this
  for (const auto& table : parts.embeddings) {
    embeddings_.push_back({tables.matrix(*table.rows), table.first});
  }
}

bool FrameCpu::takes(const FrameParts& parts) {
  std::vector<const kernels::LinearWeight*> others = parts.heads;
  others.push_back(parts.head);
  for (const auto& table : parts.embeddings) {
    others.push_back(table.rows);
  }
  if (parts.projection != nullptr) {
    others.push_back(parts.projection);
  }
  mx::array x = mx::zeros({1}, mx::float32);
  return parts.main->runs_as_kernel() && parts.depth->runs_as_kernel() &&
      std::all_of(others.begin(), others.end(), [&](const auto* weight) {
           return kernels::linear_cpu_takes(x, *weight);
         });
}

void FrameCpu::embedding(size_t group, int code, float* y) const {
  const Table& table = embeddings_[group];
  kernels::unpack_row(table.rows, table.first + code, y);
}

void FrameCpu::advance(
    std::span<nn::KvCache* const> caches,
    const float* x,
    float* hidden,
    float* logits) const {
  main_.step_cpu(x, 1, caches, hidden);
  product(hidden, caches.size(), head_, nullptr, logits);
}

void FrameCpu::predict(
    std::span<nn::KvCache* const> caches,
    const float* hidden,
    std::span<const int> first,
    const Pick& pick) const {
  size_t batch = caches.size();
  size_t wide = hidden_;
  size_t narrow = depth_.config().hidden;
  // The main decoder's state, then the first code.
  std::vector<float> x(batch * 2 * wide);
  std::vector<float> narrowed(projection_ ? batch * 2 * narrow : 0);
  std::vector<float> y(batch * 2 * narrow);
  std::vector<float> last(batch * narrow);
  std::vector<int> codes(first.begin(), first.end());
  for (size_t b = 0; b < batch; ++b) {
    std::copy_n(hidden + b * wide, wide, x.data() + 2 * b * wide);
    embedding(0, codes[b], x.data() + (2 * b + 1) * wide);
  }
  int steps = 2;
  for (size_t group = 1; group <= heads_.size(); ++group) {
    const float* in = x.data();
    if (projection_) {
      product(
          in, batch * steps, *projection_, projection_bias_, narrowed.data());
      in = narrowed.data();
    }
    depth_.step_cpu(in, steps, caches, y.data());
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
        embedding(group, codes[b], x.data() + b * wide);
      }
    }
    steps = 1;
  }
}

void FrameCpu::add_embeddings(std::span<const int> codes, float* y) const {
  std::vector<float> row(hidden_);
  for (size_t g = 0; g < codes.size(); ++g) {
    embedding(g, codes[g], row.data());
    for (int i = 0; i < hidden_; ++i) {
      y[i] += row[i];
    }
  }
}

kernels::OpCost FrameCpu::cost(size_t sequences) const {
  int rows = static_cast<int>(sequences);
  auto main = main_.kernel_cost(rows);
  auto depth = depth_.kernel_cost(rows);
  auto steps = static_cast<double>(heads_.size());
  return {
      main.flops + (steps + 1) * depth.flops + 2 * rows * weights_.count(),
      main.bytes + steps * depth.bytes + weights_.bytes()};
}

} // namespace mlx_audio
