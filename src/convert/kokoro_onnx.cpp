// How the names and layouts of the export relate to upstream's is written at
// kokoro_from_onnx's parts below; torch's conventions are those of
// github.com/hexgrad/kokoro (kokoro/modules.py, istftnet.py).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "convert/kokoro.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

using checkpoint::Bytes;
using checkpoint::DType;
using checkpoint::LazyTensor;
using checkpoint::OnnxFile;
using checkpoint::OnnxNode;
using checkpoint::Shape;
using checkpoint::TensorInfo;
using Floats = std::vector<float>;

[[noreturn]] void fail(const std::string& what) {
  throw Error(
      ErrorKind::corrupt_data,
      "the ONNX file is no known Kokoro export: " + what,
      "it takes the int8 export of Kokoro-82M v1.0");
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
      text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// "/encoder/F0.1/pool/ConvTranspose" -> "predictor.F0.1.pool": the parts but
// the last; one that repeats its parent ("cnn.0/cnn.0.0") stands for both.
std::string module_path(const std::string& node_name) {
  std::vector<std::string> parts;
  for (auto& part : split(node_name, '/')) {
    if (!part.empty()) {
      parts.push_back(part);
    }
  }
  if (parts.size() < 2) {
    fail("the node name '" + node_name + "'");
  }
  parts.pop_back();
  std::vector<std::string> path;
  for (const auto& part : parts) {
    if (!path.empty() &&
        (part == path.back() || starts_with(part, path.back() + "."))) {
      path.back() = part;
    } else {
      path.push_back(part);
    }
  }
  if (path[0] == "decoder" && path.size() > 1 && path[1] == "decoder") {
    path.erase(path.begin());
  }
  if (path[0] == "encoder" && path.size() > 1) {
    path.erase(path.begin());
    const std::string& head = path[0];
    if (head == "F0" || head == "N" || head == "shared" ||
        starts_with(head, "F0.") || starts_with(head, "F0_") ||
        starts_with(head, "N.") || starts_with(head, "N_")) {
      path.insert(path.begin(), "predictor");
    }
  }
  std::string joined;
  for (const auto& part : path) {
    joined += (joined.empty() ? "" : ".") + part;
  }
  return joined;
}

// "encoder.x" -> "x", "decoder.decoder.x" -> "decoder.x", else "".
std::string strip_prefix(const std::string& name) {
  if (starts_with(name, "encoder.")) {
    return name.substr(8);
  }
  if (starts_with(name, "decoder.decoder.")) {
    return name.substr(8);
  }
  return "";
}

// Drops the "_3" of "layer_3" at the end of each part: the graph repeats the
// one ALBERT layer that all layers share.
std::string without_repeat(const std::string& path) {
  std::string result;
  for (const auto& part : split(path, '.')) {
    std::string name = part;
    size_t at = name.find_last_not_of("0123456789");
    if (at != std::string::npos && at + 1 < name.size() && name[at] == '_') {
      name.resize(at);
    }
    result += (result.empty() ? "" : ".") + name;
  }
  return result;
}

Bytes to_bytes(const Floats& values) {
  Bytes bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Floats to_floats(const Bytes& bytes) {
  Floats values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

class Export {
 public:
  explicit Export(std::shared_ptr<const OnnxFile> onnx)
      : onnx_(std::move(onnx)) {
    for (const auto& tensor : onnx_->tensors()) {
      tensors_[tensor.name] = &tensor;
    }
  }

  std::map<std::string, LazyTensor> map();

 private:
  bool has(const std::string& name) const {
    return tensors_.count(name) != 0;
  }

  const TensorInfo& tensor(const std::string& name) const {
    auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      fail("the initializer '" + name + "' is missing");
    }
    return *found->second;
  }

  static const std::string& input(const OnnxNode& node, size_t i) {
    if (i >= node.inputs.size()) {
      fail("node '" + node.name + "' has too few inputs");
    }
    return node.inputs[i];
  }

  // An initializer as it is.
  LazyTensor plain(const std::string& name) const {
    const TensorInfo& info = tensor(name);
    if (info.dtype != DType::float32) {
      fail("'" + name + "' is not of type float");
    }
    return {name, DType::float32, info.shape, [onnx = onnx_, &info] {
              return onnx->read(info);
            }};
  }

  // Small integers of an initializer, sign-extended.
  static std::vector<int32_t> integers(
      const OnnxFile& onnx,
      const TensorInfo& info) {
    Bytes bytes = onnx.read(info);
    std::vector<int32_t> values(bytes.size());
    for (size_t i = 0; i < bytes.size(); ++i) {
      auto byte = static_cast<uint8_t>(bytes[i]);
      values[i] = info.dtype == DType::int8 ? static_cast<int8_t>(byte) : byte;
    }
    return values;
  }

  // (q - zero point) x scale, with one scale for all or one for each index of
  // `axis`.
  LazyTensor dequantized(
      const std::string& name,
      const std::string& zero_name,
      const std::string& scale_name,
      size_t axis) const {
    const TensorInfo& q = tensor(name);
    const TensorInfo& scale = tensor(scale_name);
    const TensorInfo* zero = zero_name.empty() ? nullptr : &tensor(zero_name);
    auto byte = [](const TensorInfo& info) {
      return info.dtype == DType::int8 || info.dtype == DType::uint8;
    };
    uint64_t per =
        axis < q.shape.size() ? static_cast<uint64_t>(q.shape[axis]) : 0;
    auto fits = [&](const TensorInfo& info) {
      uint64_t count = checkpoint::element_count(info.shape);
      return count == 1 || count == per;
    };
    if (!byte(q) || (zero && (!byte(*zero) || !fits(*zero))) ||
        scale.dtype != DType::float32 || !fits(scale)) {
      fail("how '" + name + "' is quantized");
    }
    return {
        name, DType::float32, q.shape, [onnx = onnx_, &q, &scale, zero, axis] {
          auto values = integers(*onnx, q);
          Floats scales = to_floats(onnx->read(scale));
          auto zeros = zero ? integers(*onnx, *zero) : std::vector<int32_t>{0};
          size_t inner = 1;
          for (size_t i = axis + 1; i < q.shape.size(); ++i) {
            inner *= static_cast<size_t>(q.shape[i]);
          }
          size_t sizes =
              axis < q.shape.size() ? static_cast<size_t>(q.shape[axis]) : 1;
          Floats result(values.size());
          for (size_t i = 0; i < values.size(); ++i) {
            size_t at = i / inner % sizes;
            result[i] = static_cast<float>(
                            values[i] - zeros[zeros.size() == 1 ? 0 : at]) *
                scales[scales.size() == 1 ? 0 : at];
          }
          return to_bytes(result);
        }};
  }

  static std::string scale_of(const std::string& quantized) {
    if (!ends_with(quantized, "_quantized")) {
      fail("the name '" + quantized + "'");
    }
    return quantized.substr(0, quantized.size() - 9) + "scale";
  }

  void put(const std::string& key, LazyTensor tensor) {
    auto found = out_.find(key);
    if (found != out_.end()) {
      // The shared ALBERT layer may be there once a layer: each the same.
      if (found->second.shape != tensor.shape ||
          found->second.load() != tensor.load()) {
        fail("two different values for '" + key + "'");
      }
      return;
    }
    tensor.name = key;
    out_.emplace(key, std::move(tensor));
  }

  void put_conv(const std::string& path, LazyTensor weight);
  void put_lstm(const OnnxNode& node);
  void put_gate_part(
      const std::string& key,
      const LazyTensor& stacked,
      int64_t direction,
      bool recurrent_half);

  std::shared_ptr<const OnnxFile> onnx_;
  std::map<std::string, const TensorInfo*> tensors_;
  std::map<std::string, LazyTensor> out_;
};

// The export folded weight norm, w = g v / ||v||, norm over all axes but the
// first. v = w and g = ||w|| give w back; where quantization made a channel all
// zero, g = 0 and v = 1, for v must not be 0.
void Export::put_conv(const std::string& path, LazyTensor weight) {
  bool plain_conv = ends_with(path, "F0_proj") || ends_with(path, "N_proj") ||
      path.find("noise_convs.") != std::string::npos;
  if (plain_conv) {
    put(path + ".weight", std::move(weight));
    return;
  }
  if (weight.shape.size() != 3) {
    fail("the convolution '" + path + "' has no 3 axes");
  }
  auto channels = static_cast<size_t>(weight.shape[0]);
  auto norms = [channels](const Floats& w) {
    std::vector<double> result(channels, 0);
    size_t inner = channels == 0 ? 0 : w.size() / channels;
    for (size_t i = 0; i < w.size(); ++i) {
      result[i / inner] += static_cast<double>(w[i]) * w[i];
    }
    for (double& norm : result) {
      norm = std::sqrt(norm);
    }
    return result;
  };
  LazyTensor g{"", DType::float32, {weight.shape[0], 1, 1}, {}};
  g.load = [load = weight.load, norms] {
    auto exact = norms(to_floats(load()));
    return to_bytes(Floats(exact.begin(), exact.end()));
  };
  LazyTensor v{"", DType::float32, weight.shape, {}};
  v.load = [load = weight.load, norms, channels] {
    Floats w = to_floats(load());
    auto exact = norms(w);
    for (size_t i = 0; i < w.size(); ++i) {
      if (exact[i / (w.size() / channels)] == 0) {
        w[i] = 1;
      }
    }
    return to_bytes(w);
  };
  put(path + ".weight_g", std::move(g));
  put(path + ".weight_v", std::move(v));
}

// One direction of an LSTM's W or R [2, in, 4h] -> [4h, in], or of its
// biases B [2, 8h] -> [4h], with ONNX's gates i o f c in torch's order i f g o.
void Export::put_gate_part(
    const std::string& key,
    const LazyTensor& stacked,
    int64_t direction,
    bool recurrent_half) {
  bool bias = stacked.shape.size() == 2;
  auto columns =
      static_cast<size_t>(bias ? stacked.shape[1] / 2 : stacked.shape[2]);
  auto inputs = static_cast<size_t>(bias ? 1 : stacked.shape[1]);
  LazyTensor part{"", DType::float32, {}, {}};
  part.shape.push_back(static_cast<int64_t>(columns));
  if (!bias) {
    part.shape.push_back(static_cast<int64_t>(inputs));
  }
  size_t start = static_cast<size_t>(direction) * inputs * columns;
  if (bias) {
    start = start * 2 + (recurrent_half ? columns : 0);
  }
  part.load = [load = stacked.load, start, columns, inputs] {
    Floats all = to_floats(load());
    Floats result(columns * inputs);
    size_t hidden = columns / 4;
    constexpr size_t order[] = {0, 2, 3, 1};
    for (size_t row = 0; row < columns; ++row) {
      size_t column = order[row / hidden] * hidden + row % hidden;
      for (size_t in = 0; in < inputs; ++in) {
        result[row * inputs + in] = all[start + in * columns + column];
      }
    }
    return to_bytes(result);
  };
  put(key, std::move(part));
}

void Export::put_lstm(const OnnxNode& node) {
  LazyTensor w = dequantized(input(node, 1), input(node, 9), input(node, 8), 0);
  LazyTensor r =
      dequantized(input(node, 2), input(node, 11), input(node, 10), 0);
  LazyTensor b = plain(input(node, 3));
  if (w.shape.size() != 3 || r.shape.size() != 3 || b.shape.size() != 2 ||
      w.shape[0] != 2 || r.shape[0] != 2 || b.shape[0] != 2 ||
      w.shape[2] != r.shape[2] || r.shape[2] != 4 * r.shape[1] ||
      b.shape[1] != 2 * w.shape[2] || r.shape[1] == 0) {
    fail("the shapes of LSTM '" + node.name + "'");
  }
  std::string path = module_path(node.name);
  for (int64_t direction : {0, 1}) {
    std::string suffix = direction == 0 ? "_l0" : "_l0_reverse";
    put_gate_part(path + ".weight_ih" + suffix, w, direction, false);
    put_gate_part(path + ".weight_hh" + suffix, r, direction, false);
    put_gate_part(path + ".bias_ih" + suffix, b, direction, false);
    put_gate_part(path + ".bias_hh" + suffix, b, direction, true);
  }
}

// Quantized initializers are called X_quantized with X_scale; zero points are
// shared between them, so the one of a weight is what its node names. Weights
// whose own name was lost get it from the node that uses them.
std::map<std::string, LazyTensor> Export::map() {
  constexpr size_t no_axis = 99;
  std::map<std::string, std::string> producer_input;
  for (const auto& node : onnx_->nodes()) {
    if (!node.outputs.empty() && !node.inputs.empty()) {
      producer_input[node.outputs[0]] = node.inputs[0];
    }
  }
  for (const auto& node : onnx_->nodes()) {
    const std::string weight = node.inputs.size() > 1 ? node.inputs[1] : "";
    if (node.op_type == "MatMulInteger" && has(weight)) {
      std::string scale = scale_of(weight);
      size_t axis = tensor(scale).shape.empty() ? no_axis : 1;
      LazyTensor w = dequantized(weight, input(node, 3), scale, axis);
      if (w.shape.size() != 2) {
        fail("the shape of '" + weight + "'");
      }
      put(without_repeat(module_path(node.name)) + ".weight",
          transpose(std::move(w), {1, 0}));
    } else if (node.op_type == "MatMul" && has(weight)) {
      if (tensor(weight).shape.size() != 2) {
        fail("the shape of '" + weight + "'");
      }
      put(module_path(node.name) + ".weight", transpose(plain(weight), {1, 0}));
    } else if (node.op_type == "ConvInteger" && has(weight)) {
      put_conv(
          module_path(node.name),
          dequantized(weight, input(node, 3), scale_of(weight), no_axis));
    } else if (
        (node.op_type == "Conv" || node.op_type == "ConvTranspose") &&
        has(weight)) {
      bool transform = node.name.find("/stft/") != std::string::npos ||
          node.name.find("istft") != std::string::npos;
      if (!transform) {
        put_conv(module_path(node.name), plain(weight));
      }
    } else if (node.op_type == "DynamicQuantizeLSTM") {
      put_lstm(node);
    } else if (node.op_type == "DequantizeLinear") {
      // Gather(X_quantized) -> DequantizeLinear: an embedding
      const std::string& name = producer_input[input(node, 0)];
      std::string key = strip_prefix(name);
      if (key.empty() || !ends_with(key, "_quantized")) {
        fail("the node '" + node.name + "'");
      }
      put(key.substr(0, key.size() - 10),
          dequantized(
              name,
              node.inputs.size() > 2 ? node.inputs[2] : "",
              input(node, 1),
              no_axis));
    }
  }
  for (const auto& tensor : onnx_->tensors()) {
    std::string key = strip_prefix(tensor.name);
    if (!key.empty() && tensor.dtype == DType::float32 &&
        key.find(".stft.") == std::string::npos && !ends_with(key, "_scale") &&
        !ends_with(key, "_zero_point")) {
      put(key, plain(tensor.name));
    }
  }
  return std::move(out_);
}

} // namespace

std::vector<LazyTensor> kokoro_from_onnx(
    const std::shared_ptr<const OnnxFile>& onnx) {
  auto tensors = Export(onnx).map();
  // No output needs the pooler, so the export lacks it; loaders want it.
  auto norm = tensors.find("bert.encoder.embedding_hidden_mapping_in.bias");
  if (norm == tensors.end() || norm->second.shape.size() != 1) {
    fail("it has no ALBERT text encoder");
  }
  int64_t hidden = norm->second.shape[0];
  auto zeros = [&](const std::string& name, Shape shape) {
    uint64_t size = checkpoint::byte_size(name, DType::float32, shape);
    tensors[name] = {
        name, DType::float32, std::move(shape), [size] { return Bytes(size); }};
  };
  zeros("bert.pooler.weight", {hidden, hidden});
  zeros("bert.pooler.bias", {hidden});
  if (tensors.size() != 548) {
    fail(
        "it gives " + std::to_string(tensors.size()) +
        " tensors instead of 548");
  }
  std::vector<LazyTensor> result;
  for (auto& [name, tensor] : tensors) {
    result.push_back(std::move(tensor));
  }
  return result;
}

LazyTensor kokoro_voice_from_raw(const std::string& path) {
  auto file = checkpoint::File::open(path);
  if (file->size() == 0 || file->size() % 1024 != 0 ||
      file->size() > 4096 * 1024) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path + "' has " + std::to_string(file->size()) +
            " bytes, which is no voice of rows of 256 floats");
  }
  auto rows = static_cast<int64_t>(file->size() / 1024);
  return {"voice", DType::float32, {rows, 1, 256}, [file] {
            Bytes bytes(file->size());
            file->read_at(0, bytes);
            return bytes;
          }};
}

} // namespace mlx_audio::convert
