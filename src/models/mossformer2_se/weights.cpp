#include "models/mossformer2_se/weights.h"

#include <array>
#include <string_view>

#include "mlx_audio/error.h"
#include "nn/layers.h"

namespace mlx_audio::mossformer2_se {

namespace {

void replace(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Upstream's convolutions are [out, in, kernel] and [out, in, kernel, 1], those
// of conversions [out, kernel, in] and [out, kernel, 1, in].
mx::array channels_last(const mx::array& w) {
  if (w.ndim() == 3) {
    return mx::contiguous(mx::transpose(w, {0, 2, 1}));
  }
  return w.ndim() == 4 ? mx::contiguous(mx::transpose(w, {0, 2, 3, 1})) : w;
}

} // namespace

std::string canonical_name(const std::string& name) {
  std::string_view view = name;
  for (std::string_view prefix : {"module.", "model.", "mossformer."}) {
    if (view.substr(0, prefix.size()) == prefix) {
      view.remove_prefix(prefix.size());
    }
  }
  std::string to(view);
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> parts{
      {{"conv1.0.", "conv1."},
       {"conv1.1.", "prelu."},
       {".mdl.0.", ".norm."},
       {".mdl.1.", ".linear."},
       {".mdl.3.sequential.1.conv.", ".conv_module."},
       {"output.0.", "output."},
       {"output_gate.0.", "output_gate."}}};
  for (const auto& [from, with] : parts) {
    replace(to, from, with);
  }
  return to;
}

void canonicalize(nn::Weights& weights) {
  bool upstream = false;
  for (const auto& [name, tensor] : weights.tensors()) {
    upstream =
        upstream || name.find(".mdl.3.sequential.1.conv.") != std::string::npos;
  }
  std::map<std::string, mx::array> renamed;
  for (const auto& [name, tensor] : weights.tensors()) {
    auto to = canonical_name(name);
    if (!renamed.emplace(to, upstream ? channels_last(tensor) : tensor)
             .second) {
      throw Error(
          ErrorKind::corrupt_data,
          "tensor '" + to + "' is there twice in '" + weights.source() + "'");
    }
  }
  weights.tensors() = std::move(renamed);
  weights.rename_layers(canonical_name);
}

mx::array take_matrix(
    nn::Weights& weights,
    const std::string& path,
    int rows,
    int columns,
    const std::optional<nn::Quantization>& quantization) {
  auto name = path + ".weight";
  if (!weights.has(path + ".scales")) {
    auto found = weights.tensors().find(name);
    bool conv = found != weights.tensors().end() && found->second.ndim() == 3;
    auto w = weights.take(
        name, conv ? mx::Shape{rows, 1, columns} : mx::Shape{rows, columns});
    return mx::astype(mx::reshape(w, {rows, columns}), mx::float32);
  }
  auto scales = weights.take(path + ".scales", {rows, -1});
  auto packed = weights.take(name, {rows, -1});
  int groups = scales.shape(1);
  nn::Quantization q = quantization
      ? *weights.quantization(path)
      : nn::Quantization{
            groups > 0 ? columns / groups : 0, packed.shape(1) * 32 / columns};
  bool sound = q.group_size > 0 && groups * q.group_size == columns &&
      packed.dtype() == mx::uint32 && packed.shape(1) * 32 == columns * q.bits;
  if (!sound) {
    throw Error(
        ErrorKind::corrupt_data,
        "layer '" + path + "' is not quantized to " + std::to_string(q.bits) +
            " bits in groups of " + std::to_string(q.group_size) + " in '" +
            weights.source() + "'",
        "is config.json the one of these weights?");
  }
  if (!q.affine()) {
    return mx::astype(
        nn::unpack_small_floats(packed, scales, q, path), mx::float32);
  }
  auto biases = weights.take(path + ".biases", scales.shape());
  return mx::dequantize(
      packed,
      mx::astype(scales, mx::float32),
      mx::astype(biases, mx::float32),
      q.group_size,
      q.bits);
}

} // namespace mlx_audio::mossformer2_se
