#include "models/mossformer2_se/model.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "mlx_audio/error.h"

namespace mlx_audio::mossformer2_se {

namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    throw Error(
        ErrorKind::not_found,
        "no config at '" + path.string() + "'",
        "give a folder with config.json and model.safetensors");
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

nn::Weights read_weights(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") {
      files.push_back(entry.path());
    }
  }
  if (files.empty()) {
    throw Error(
        ErrorKind::not_found,
        "no .safetensors in '" + folder.string() + "'",
        "convert an original checkpoint with: mlx-audio convert");
  }
  std::sort(files.begin(), files.end());
  std::map<std::string, mx::array> all;
  for (const auto& file : files) {
    auto one = nn::Weights::load(file.string());
    all.merge(one.tensors());
  }
  nn::Weights weights(std::move(all), folder.string());
  weights.read_quantization(folder.string());
  return weights;
}

mx::Dtype parse_dtype(const std::string& name, nn::Weights& weights) {
  if (name == "float32" || name == "f32") {
    return mx::float32;
  }
  if (name == "bfloat16" || name == "bf16") {
    return mx::bfloat16;
  }
  if (name == "float16" || name == "f16") {
    return mx::float16;
  }
  if (!name.empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "unknown dtype '" + name + "'",
        "use float32, bfloat16 or float16");
  }
  for (const auto& [tensor, value] : weights.tensors()) {
    if (tensor.find("to_hidden") != std::string::npos &&
        (value.dtype() == mx::bfloat16 || value.dtype() == mx::float16)) {
      return value.dtype();
    }
  }
  return mx::float32;
}

} // namespace

Model Model::load(const std::string& folder, const std::string& dtype) {
  if (!fs::is_directory(folder)) {
    throw Error(
        ErrorKind::not_found,
        "no model folder at '" + folder + "'",
        "give a folder with config.json and model.safetensors");
  }
  auto path = fs::path(folder) / "config.json";
  auto config = parse_config(read_text(path), path.string());
  auto weights = read_weights(folder);
  return Model(config, weights, parse_dtype(dtype, weights));
}

std::vector<float> Model::enhance(
    std::span<const float> x,
    Noise& noise,
    Frontend::Ends ends) const {
  auto mask = network_(frontend_.features(x, noise.amplitude, noise.generator));
  return frontend_.resynthesize(x, mask, ends);
}

Taps Model::taps(std::span<const float> x) const {
  Noise noise;
  Taps taps;
  auto features = frontend_.features(x, 0, noise.generator);
  network_(features, &taps);
  taps.insert_or_assign("fbank", features);
  return taps;
}

} // namespace mlx_audio::mossformer2_se
