#include "models/whisper/fused_linear.h"

namespace mlx_audio::whisper {

namespace {

using kernels::LinearWeight;

bool stored_alike(const LinearWeight& a, const LinearWeight& b) {
  return a.quantized() == b.quantized() && a.bits == b.bits &&
      a.group_size == b.group_size && a.weight.dtype() == b.weight.dtype() &&
      (!a.quantized() || a.scales->dtype() == b.scales->dtype());
}

// Rows after rows, of layers that are stored alike.
LinearWeight join(const std::vector<LinearWeight>& layers) {
  auto rows = [&](auto&& get) {
    std::vector<mx::array> arrays;
    for (const auto& layer : layers) {
      arrays.push_back(get(layer));
    }
    return mx::contiguous(mx::concatenate(arrays, 0));
  };
  const auto& first = layers[0];
  LinearWeight w{
      .weight = rows([](const LinearWeight& l) { return l.weight; }),
      .group_size = first.group_size,
      .bits = first.bits};
  for (const auto& layer : layers) {
    w.paths.insert(w.paths.end(), layer.paths.begin(), layer.paths.end());
  }
  w.bias = rows([](const LinearWeight& l) {
    return l.bias ? *l.bias : mx::zeros({l.out_features()}, mx::float32);
  });
  if (first.quantized()) {
    w.scales = rows([](const LinearWeight& l) { return *l.scales; });
    w.biases = rows([](const LinearWeight& l) { return *l.biases; });
  }
  return w;
}

} // namespace

FusedLinear::FusedLinear(const std::vector<LinearWeight>& layers) {
  std::vector<LinearWeight> alike;
  for (const auto& layer : layers) {
    if (!alike.empty() && !stored_alike(alike.back(), layer)) {
      parts_.emplace_back(join(alike));
      alike.clear();
    }
    alike.push_back(layer);
  }
  parts_.emplace_back(join(alike));
}

mx::array FusedLinear::operator()(const mx::array& x) const {
  std::vector<mx::array> outputs;
  for (const auto& part : parts_) {
    outputs.push_back(part(x));
  }
  return outputs.size() == 1 ? outputs[0] : mx::concatenate(outputs, -1);
}

LinearWeight FusedLinear::joined() const {
  if (parts_.size() == 1) {
    return parts_[0].weight();
  }
  std::vector<LinearWeight> plain;
  for (const auto& part : parts_) {
    const auto& w = part.weight();
    // In f32: the weights are not numbers of the scales' type.
    auto f32 = [](const mx::array& a) { return mx::astype(a, mx::float32); };
    auto weight = w.quantized()
        ? mx::dequantize(
              w.weight, f32(*w.scales), f32(*w.biases), w.group_size, w.bits)
        : f32(w.weight);
    plain.push_back({.weight = weight, .bias = w.bias});
  }
  return join(plain);
}

} // namespace mlx_audio::whisper
