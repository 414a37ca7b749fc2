#include "nn/layers.h"
#include "mlx_audio/error.h"

namespace mlx_audio::nn {

mx::array unpack_small_floats(
    const mx::array& packed,
    const mx::array& scales,
    const Quantization& q,
    const std::string& path) {
  if (packed.dtype() != mx::uint32 || scales.dtype() != mx::uint8) {
    throw Error(
        ErrorKind::corrupt_data,
        "layer '" + path + "' is not packed as " + q.mode,
        "is config.json the one of these weights?");
  }
  try {
    return mx::dequantize(
        packed,
        scales,
        std::nullopt,
        q.group_size,
        q.bits,
        q.mode,
        std::nullopt,
        mx::bfloat16);
  } catch (const std::invalid_argument& error) {
    throw Error(
        ErrorKind::corrupt_data, "layer '" + path + "': " + error.what());
  }
}

namespace {

kernels::LinearWeight
take_matrix(Weights& weights, const std::string& path, int rows, int columns) {
  auto quantization = weights.quantization(path);
  if (!quantization) {
    return {
        .weight = weights.take(path + ".weight", {rows, columns}),
        .paths = {path}};
  }
  int group = quantization->group_size;
  int bits = quantization->bits;
  if (group <= 0 || bits <= 0 || columns % group != 0 ||
      columns * bits % 32 != 0) {
    throw Error(
        ErrorKind::corrupt_data,
        "layer '" + path + "' of width " + std::to_string(columns) +
            " cannot be quantized in groups of " + std::to_string(group) +
            " at " + std::to_string(bits) + " bits",
        "is config.json the one of these weights?");
  }
  auto packed = weights.take(path + ".weight", {rows, columns * bits / 32});
  auto scales = weights.take(path + ".scales", {rows, columns / group});
  if (!quantization->affine()) {
    return {
        .weight = unpack_small_floats(packed, scales, *quantization, path),
        .paths = {path}};
  }
  return {
      .weight = packed,
      .scales = scales,
      .biases = weights.take(path + ".biases", {rows, columns / group}),
      .group_size = group,
      .bits = bits,
      .paths = {path}};
}

// Weights of a convolution as stored, of `torch_shape` in torch's layout.
kernels::StoredConv1dWeight take_conv(
    Weights& weights,
    const std::string& path,
    ConvLayout layout,
    const mx::Shape& shape,
    int out) {
  bool normed = weights.has(path + ".weight_v");
  kernels::StoredConv1dWeight stored{
      .values = weights.take(path + (normed ? ".weight_v" : ".weight"), shape),
      .bias = weights.take_optional(path + ".bias", {out}),
      .layout = layout};
  if (normed) {
    stored.gain = weights.take(path + ".weight_g", {shape[0], 1, 1});
  }
  return stored;
}

// The checkpoint's tensor is not needed once a kernel holds its own form.
void release_conv(Weights& weights, const std::string& path) {
  weights.release(path + ".weight");
  weights.release(path + ".weight_v");
}

} // namespace

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
    : weight_([&] {
        int width = in / options.groups;
        auto shape = layout == ConvLayout::torch
            ? mx::Shape{out, width, kernel}
            : mx::Shape{out, kernel, width};
        return kernels::load_conv1d(
            take_conv(weights, path, layout, shape, out), options);
      }()),
      options_(options) {
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
    : weight_([&] {
        auto shape = layout == ConvLayout::torch
            ? mx::Shape{in, out / options.groups, kernel}
            : mx::Shape{out, kernel, in / options.groups};
        return kernels::load_conv_transpose1d(
            take_conv(weights, path, layout, shape, out), options);
      }()),
      options_(options) {
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
