// A tiny MossFormer2 SE checkpoint whose weights are a function of their names,
// so that tests/parity/mossformer2_se/make_golden.py can give torch the same.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mlx/mlx.h"

namespace mlx_audio::tiny {

namespace mx = mlx::core;

constexpr int kDim = 32;
constexpr int kBlocks = 2;
constexpr int kInner = 256;
constexpr int kQueryKey = 128;
constexpr int kBins = 961;
constexpr int kFeatures = 180;

/// SplitMix64 of a counter (Steele et al. 2014), as -1..1.
inline float noise(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return static_cast<float>(static_cast<double>(z >> 11) * 0x1p-52 - 1);
}

/// FNV-1a.
inline uint64_t hash(const std::string& text) {
  uint64_t h = 0xCBF29CE484222325u;
  for (unsigned char c : text) {
    h = (h ^ c) * 0x100000001B3u;
  }
  return h;
}

inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() &&
      text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// Upstream's name and shape to values. Matrices shrink with their input, gains
/// lie around 1, slopes around 0.25, the rest around 0.
inline mx::array tensor(const std::string& name, const mx::Shape& shape) {
  double fan = 1;
  for (size_t i = 1; i < shape.size(); ++i) {
    fan *= shape[i];
  }
  float around = 0;
  float scale = 0.1f;
  if (ends_with(name, "gamma") || ends_with(name, "beta")) {
    scale = 0.5f;
  } else if (shape.size() > 1) {
    scale = static_cast<float>(std::sqrt(3 / fan));
    scale *= name == "conv1_decoder.weight" ? 2 : 1;
  } else if (ends_with(name, "conv1.1.weight") || name == "prelu.weight") {
    around = 0.25f;
  } else if (!ends_with(name, "bias")) {
    around = 1;
  }
  size_t count = 1;
  for (int size : shape) {
    count *= static_cast<size_t>(size);
  }
  std::vector<float> values(count);
  uint64_t seed = hash(name);
  for (size_t i = 0; i < count; ++i) {
    values[i] = around + scale * noise(seed, i);
  }
  return mx::array(values.data(), shape, mx::float32);
}

/// All tensors, with upstream's names and layouts.
inline std::map<std::string, mx::array> tensors() {
  std::map<std::string, mx::array> out;
  auto add = [&](const std::string& name, const mx::Shape& shape) {
    out.emplace("mossformer." + name, tensor(name, shape));
  };
  auto pointwise = [&](const std::string& name, int rows, int columns) {
    add(name + ".weight", {rows, columns, 1});
    add(name + ".bias", {rows});
  };
  auto feed_forward =
      [&](const std::string& name, int rows, int columns, bool scale_norm) {
        if (scale_norm) {
          add(name + ".mdl.0.g", {1});
        } else {
          add(name + ".mdl.0.weight", {columns});
          add(name + ".mdl.0.bias", {columns});
        }
        add(name + ".mdl.1.weight", {rows, columns});
        add(name + ".mdl.1.bias", {rows});
        add(name + ".mdl.3.sequential.1.conv.weight", {rows, 1, 17});
      };
  add("norm.weight", {kFeatures});
  add("norm.bias", {kFeatures});
  add("conv1d_encoder.weight", {kDim, kFeatures, 1});
  add("pos_enc.scale", {1});
  for (int i = 0; i < kBlocks; ++i) {
    auto stack = std::string("mdl.intra_mdl.mossformerM.");
    auto layer = stack + "layers." + std::to_string(i);
    feed_forward(layer + ".to_hidden", 4 * kDim, kDim, true);
    feed_forward(layer + ".to_qk", kQueryKey, kDim, true);
    feed_forward(layer + ".to_out", kDim, 2 * kDim, true);
    add(layer + ".qk_offset_scale.gamma", {4, kQueryKey});
    add(layer + ".qk_offset_scale.beta", {4, kQueryKey});
    auto block = stack + "fsmn." + std::to_string(i);
    pointwise(block + ".conv1.0", kInner, kDim);
    add(block + ".conv1.1.weight", {1});
    for (const char* norm : {".norm1", ".norm2"}) {
      add(block + norm + ".weight", {kInner});
      add(block + norm + ".bias", {kInner});
    }
    auto gated = block + ".gated_fsmn";
    feed_forward(gated + ".to_u", kInner, kInner, false);
    feed_forward(gated + ".to_v", kInner, kInner, false);
    add(gated + ".fsmn.linear.weight", {kInner, kInner});
    add(gated + ".fsmn.linear.bias", {kInner});
    add(gated + ".fsmn.project.weight", {kInner, kInner});
    add(gated + ".fsmn.conv1.weight", {kInner, 1, 39, 1});
    pointwise(block + ".conv2", kDim, kInner);
  }
  for (const char* norm : {"mdl.intra_mdl.norm", "mdl.intra_norm"}) {
    add(std::string(norm) + ".weight", {kDim});
    add(std::string(norm) + ".bias", {kDim});
  }
  add("prelu.weight", {1});
  pointwise("conv1d_out", 2 * kDim, kDim);
  pointwise("output.0", kDim, kDim);
  pointwise("output_gate.0", kDim, kDim);
  add("conv1_decoder.weight", {kBins, kDim, 1});
  return out;
}

/// Seconds of a test signal that needs no random numbers of a library: a sweep
/// of harmonics in bursts, and noise.
inline std::vector<float> signal(size_t samples) {
  std::vector<float> x(samples);
  for (size_t i = 0; i < samples; ++i) {
    double t = static_cast<double>(i) / 48000;
    double phase = 2 * M_PI * (150 * t + 40 * t * t);
    double voice = 0;
    for (int h = 1; h <= 8; ++h) {
      voice += std::sin(h * phase) / h;
    }
    double burst = std::max(0.0, std::sin(9 * t));
    // On the grid of 16-bit files, which torch reads too.
    double v = 0.15 * voice * burst + 0.02 * noise(7, i);
    x[i] = static_cast<float>(std::round(v * 32768) / 32768);
  }
  return x;
}

} // namespace mlx_audio::tiny
