#include "nn/layers.h"

#include "kernels/cpu_op.h"
#include "mlx_audio/error.h"

namespace mlx_audio::nn {

namespace {

kernels::LinearWeight
take_matrix(Weights& weights, const std::string& path, int rows, int columns) {
  auto quantization = weights.quantization(path);
  if (!quantization) {
    return {.weight = weights.take(path + ".weight", {rows, columns})};
  }
  auto [group, bits] = *quantization;
  if (group <= 0 || bits <= 0 || columns % group != 0 ||
      columns * bits % 32 != 0) {
    throw Error(
        ErrorKind::corrupt_data,
        "layer '" + path + "' of width " + std::to_string(columns) +
            " cannot be quantized in groups of " + std::to_string(group) +
            " at " + std::to_string(bits) + " bits",
        "is config.json the one of these weights?");
  }
  return {
      .weight = weights.take(path + ".weight", {rows, columns * bits / 32}),
      .scales = weights.take(path + ".scales", {rows, columns / group}),
      .biases = weights.take(path + ".biases", {rows, columns / group}),
      .group_size = group,
      .bits = bits};
}

// A convolution's weight in the checkpoint's layout, weight norm folded to f32,
// and what the checkpoint stores.
struct ConvTensor {
  mx::array weight;
  mx::Dtype storage;
};

ConvTensor take_conv(
    Weights& weights,
    const std::string& path,
    const mx::Shape& shape) {
  if (!weights.has(path + ".weight_v")) {
    auto w = weights.take(path + ".weight", shape);
    return {w, w.dtype()};
  }
  auto v = weights.take(path + ".weight_v", shape);
  auto g = weights.take(path + ".weight_g", {shape[0], 1, 1});
  return {fold_weight_norm(g, v), v.dtype()};
}

// `torch_shape` and the permutation of its axes that gives ours.
kernels::Conv1dWeight take_conv_weight(
    Weights& weights,
    const std::string& path,
    ConvLayout layout,
    const mx::Shape& torch_shape,
    const std::vector<int>& axes,
    int out) {
  mx::Shape shape = torch_shape;
  if (layout == ConvLayout::mlx) {
    for (size_t i = 0; i < axes.size(); ++i) {
      shape[i] = torch_shape[axes[i]];
    }
  }
  auto [weight, storage] = take_conv(weights, path, shape);
  if (layout == ConvLayout::torch) {
    weight = mx::contiguous(mx::transpose(weight, axes));
  }
  if (!kernels::use_cpu_kernels()) {
    weight = mx::astype(weight, storage);
  }
  return {
      .weight = weight,
      .bias = weights.take_optional(path + ".bias", {out}),
      .storage = storage};
}

// The checkpoint's tensors are not needed once a backend holds its own form.
void release_conv(Weights& weights, const std::string& path) {
  for (const char* name : {".weight", ".weight_v"}) {
    weights.release(path + name);
  }
}

} // namespace

mx::array fold_weight_norm(const mx::array& g, const mx::array& v) {
  auto f = mx::astype(v, mx::float32);
  auto norm = mx::sqrt(mx::sum(mx::square(f), {1, 2}, true));
  auto scale = mx::where(
      mx::greater(norm, mx::array(0.0f)),
      mx::astype(g, mx::float32) / norm,
      mx::array(0.0f));
  return f * scale;
}

Linear::Linear(Weights& weights, const std::string& path, int in, int out)
    : weight_(take_matrix(weights, path, out, in)) {
  weight_.bias = weights.take_optional(path + ".bias", {out});
}

Embedding::Embedding(
    Weights& weights,
    const std::string& path,
    int count,
    int dim)
    : table_(take_matrix(weights, path, count, dim)) {}

mx::array Embedding::operator()(const mx::array& ids) const {
  auto rows = mx::take(table_.weight, ids, 0);
  if (!table_.quantized()) {
    return rows;
  }
  return mx::dequantize(
      rows,
      mx::take(*table_.scales, ids, 0),
      mx::take(*table_.biases, ids, 0),
      table_.group_size,
      table_.bits);
}

LayerNorm::LayerNorm(
    Weights& weights,
    const std::string& path,
    int dim,
    float eps /* = 1e-5f */,
    bool affine /* = true */)
    : eps_(eps) {
  if (affine) {
    weight_ = weights.take(path + ".weight", {dim});
    bias_ = weights.take(path + ".bias", {dim});
  }
}

Conv1d::Conv1d(
    Weights& weights,
    const std::string& path,
    ConvLayout layout,
    int in,
    int out,
    int kernel,
    kernels::Conv1dOptions options /* = {} */)
    : weight_(take_conv_weight(
          weights,
          path,
          layout,
          {out, in / options.groups, kernel},
          {0, 2, 1},
          out)),
      options_(options) {
  kernels::prepare_conv1d(weight_, options_);
  release_conv(weights, path);
}

ConvTranspose1d::ConvTranspose1d(
    Weights& weights,
    const std::string& path,
    ConvLayout layout,
    int in,
    int out,
    int kernel,
    kernels::ConvTranspose1dOptions options)
    : weight_(take_conv_weight(
          weights,
          path,
          layout,
          // torch: [in, out / groups, kernel]; depthwise has in == groups.
          {in, out / options.groups, kernel},
          options.groups == 1 ? std::vector<int>{1, 2, 0}
                              : std::vector<int>{0, 2, 1},
          out)),
      options_(options) {
  kernels::prepare_conv_transpose1d(weight_, options_);
  release_conv(weights, path);
}

BidirectionalLstm::BidirectionalLstm(
    Weights& weights,
    const std::string& path,
    int in,
    int hidden)
    : forward_{mx::array(0.0f), mx::array(0.0f), mx::array(0.0f)},
      backward_(forward_) {
  auto direction = [&](const std::string& suffix) -> kernels::LstmWeight {
    auto name = [&](const char* tensor) {
      return path + "." + tensor + "_l0" + suffix;
    };
    return {
        .input = weights.take(name("weight_ih"), {4 * hidden, in}),
        .hidden = weights.take(name("weight_hh"), {4 * hidden, hidden}),
        .bias = weights.take(name("bias_ih"), {4 * hidden}) +
            weights.take(name("bias_hh"), {4 * hidden})};
  };
  forward_ = direction("");
  backward_ = direction("_reverse");
}

} // namespace mlx_audio::nn
