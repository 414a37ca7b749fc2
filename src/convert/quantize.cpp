#include "convert/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "convert/refit.h"
#include "mlx/mlx.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

namespace mx = mlx::core;
using checkpoint::Bytes;
using checkpoint::DType;
using checkpoint::LazyTensor;
using checkpoint::Shape;

// Rows are packed alone, so a tensor goes through in pieces of this many
// elements and a conversion needs little more than its largest tensor.
constexpr int64_t piece_elements = int64_t{1} << 23;

const std::string weight_suffix = ".weight";

mx::Dtype mlx_type(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return mx::float16;
    case DType::bfloat16:
      return mx::bfloat16;
    case DType::uint32:
      return mx::uint32;
    case DType::uint8:
      return mx::uint8;
    default:
      return mx::float32;
  }
}

// Rows [begin, end) of `bytes` as an array that shares their memory or copies
// it; `bytes` must outlive it.
mx::array rows_of(
    const Bytes& bytes,
    DType dtype,
    const Shape& shape,
    int64_t begin,
    int64_t end) {
  auto columns = shape[1];
  size_t row = static_cast<size_t>(columns) * checkpoint::item_size(dtype);
  auto* data =
      const_cast<std::byte*>(bytes.data()) + static_cast<size_t>(begin) * row;
  return mx::array(
      static_cast<void*>(data),
      {static_cast<int>(end - begin), static_cast<int>(columns)},
      mlx_type(dtype),
      [](void*) {});
}

void append(Bytes& bytes, const mx::array& part) {
  const auto* data = part.data<std::byte>();
  bytes.insert(bytes.end(), data, data + part.nbytes());
}

struct Packed {
  Bytes weight;
  Bytes scales;
  Bytes biases;
};

struct Layer {
  std::string path;
  LazyTensor source;
  Packing packing;
  bool refit = false;
  std::vector<float> moments; // of inputs, [columns, columns], or empty
  size_t report_index = 0;
};

Packed pack(const Layer& layer, std::vector<LayerReport>& report) {
  Bytes source = layer.source.load();
  const Shape& shape = layer.source.shape;
  const Packing& packing = layer.packing;
  int64_t step = std::max<int64_t>(1, piece_elements / shape[1]);
  Packed result;
  std::vector<float> factor;
  if (!layer.moments.empty()) {
    factor = input_factor(layer.moments, shape[1]);
  }
  double error = 0;
  double norm = 0;
  double largest = 0;
  for (int64_t begin = 0; begin < shape[0]; begin += step) {
    int64_t end = std::min(shape[0], begin + step);
    auto w = rows_of(source, layer.source.dtype, shape, begin, end);
    auto parts =
        mx::quantize(w, packing.group_size, packing.bits, packing.mode);
    bool affine = parts.size() > 2;
    if (affine && layer.refit) {
      refit(w, parts, packing, factor.empty() ? nullptr : &factor);
    }
    auto back = mx::astype(
        mx::dequantize(
            parts[0],
            parts[1],
            affine ? std::optional(parts[2]) : std::nullopt,
            packing.group_size,
            packing.bits,
            packing.mode,
            std::nullopt,
            w.dtype()),
        mx::float32);
    auto exact = mx::astype(w, mx::float32);
    auto difference = exact - back;
    auto sums = mx::stack(
        {mx::sum(mx::square(difference)),
         mx::sum(mx::square(exact)),
         mx::max(mx::abs(difference))});
    for (auto& part : parts) {
      part = mx::contiguous(part);
    }
    std::vector<mx::array> wanted = parts;
    wanted.push_back(sums);
    mx::eval(wanted);
    append(result.weight, parts[0]);
    append(result.scales, parts[1]);
    if (affine) {
      append(result.biases, parts[2]);
    }
    const auto* values = sums.data<float>();
    error += values[0];
    norm += values[1];
    largest = std::max<double>(largest, values[2]);
  }
  LayerReport& line = report[layer.report_index];
  line.relative_error = norm > 0 ? std::sqrt(error / norm) : 0;
  line.max_error = largest;
  return result;
}

// The parts of a layer are written one after the other: the last layer packed
// is kept, so that each is packed once.
struct LastPacked {
  const Layer* layer = nullptr;
  Packed packed;
};

bool is_packable(const LazyTensor& tensor, int group_size) {
  const std::string& name = tensor.name;
  return checkpoint::is_float(tensor.dtype) && tensor.dtype != DType::float64 &&
      tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0 &&
      tensor.shape[0] <= INT32_MAX && tensor.shape[1] <= INT32_MAX &&
      tensor.shape[1] % group_size == 0 && name.size() > 7 &&
      name.compare(name.size() - 7, 7, weight_suffix) == 0;
}

std::pair<int, int> recipe_bits(const std::string& recipe) {
  static const std::map<std::string, std::pair<int, int>> recipes = {
      {"mixed_2_6", {2, 6}},
      {"mixed_3_4", {3, 4}},
      {"mixed_3_6", {3, 6}},
      {"mixed_4_6", {4, 6}}};
  auto found = recipes.find(recipe);
  if (found == recipes.end()) {
    throw Error(
        ErrorKind::invalid_argument,
        "unknown recipe '" + recipe + "'",
        "use mixed_2_6, mixed_3_4, mixed_3_6 or mixed_4_6");
  }
  return found->second;
}

} // namespace

std::vector<LazyTensor> quantize(
    std::vector<LazyTensor> tensors,
    const std::string& model_type,
    const QuantizeOptions& options,
    const std::shared_ptr<std::vector<LayerReport>>& report) {
  Packing base = packing_of(options);
  if (!options.recipe.empty() && options.mode != "affine") {
    throw Error(
        ErrorKind::invalid_argument,
        "recipe " + options.recipe + " does not go with mode " + options.mode,
        "mixed recipes are affine");
  }
  if (options.refit && options.mode != "affine") {
    throw Error(
        ErrorKind::invalid_argument,
        "calibration does not go with mode " + options.mode);
  }
  std::vector<std::string> paths;
  for (const auto& tensor : tensors) {
    std::string path = tensor.name.substr(
        0,
        tensor.name.size() - weight_suffix.size() * (tensor.name.size() > 7));
    if (is_packable(tensor, base.group_size) &&
        may_quantize(model_type, path)) {
      paths.push_back(path);
    }
  }
  if (paths.empty()) {
    throw Error(
        ErrorKind::invalid_argument,
        "no layer can be quantized in groups of " +
            std::to_string(base.group_size),
        "try --q-group-size 32");
  }
  std::map<std::string, int> bits;
  if (!options.recipe.empty()) {
    auto [low, high] = recipe_bits(options.recipe);
    auto list = mixed_bits(paths, low, high);
    for (size_t i = 0; i < paths.size(); ++i) {
      bits[paths[i]] = list[i];
    }
  }
  std::set<std::string> chosen(paths.begin(), paths.end());
  auto last = std::make_shared<LastPacked>();
  std::vector<LazyTensor> out;
  report->clear();
  for (auto& tensor : tensors) {
    LayerReport line{tensor.name, tensor.shape, {}, tensor.bytes(), 0, -1, -1};
    std::string path = tensor.name.size() > 7
        ? tensor.name.substr(0, tensor.name.size() - 7)
        : "";
    bool packs = is_packable(tensor, base.group_size) && chosen.count(path);
    if (!packs) {
      line.bytes_after = line.bytes_before;
      report->push_back(std::move(line));
      out.push_back(std::move(tensor));
      continue;
    }
    auto layer = std::make_shared<Layer>();
    layer->path = path;
    layer->packing = base;
    if (!bits.empty()) {
      layer->packing.bits = bits[path];
    }
    layer->refit = options.refit;
    layer->report_index = report->size();
    layer->source = std::move(tensor);
    auto moments = options.calibration.moments.find(path);
    // Tables of embeddings are looked up too, where all columns count alike.
    if (moments != options.calibration.moments.end() &&
        path.find("embedding") == std::string::npos &&
        moments->second.size() ==
            static_cast<size_t>(
                layer->source.shape[1] * layer->source.shape[1])) {
      layer->moments = moments->second;
    }
    const Shape& shape = layer->source.shape;
    int64_t groups = shape[1] / base.group_size;
    bool affine = base.mode == "affine";
    auto part = [&](const std::string& suffix,
                    DType dtype,
                    int64_t columns,
                    Bytes Packed::* member) {
      LazyTensor result{path + suffix, dtype, {shape[0], columns}, {}};
      result.load = [layer, last, report, member] {
        if (last->layer != layer.get()) {
          last->packed = {};
          last->layer = nullptr;
          last->packed = pack(*layer, *report);
          last->layer = layer.get();
        }
        return last->packed.*member;
      };
      line.bytes_after += result.bytes();
      out.push_back(std::move(result));
    };
    part(
        weight_suffix,
        DType::uint32,
        shape[1] * layer->packing.bits / 32,
        &Packed::weight);
    part(
        ".scales",
        affine ? layer->source.dtype : DType::uint8,
        groups,
        &Packed::scales);
    if (affine) {
      part(".biases", layer->source.dtype, groups, &Packed::biases);
    }
    line.name = path;
    line.packing = layer->packing;
    report->push_back(std::move(line));
  }
  return out;
}

std::vector<LazyTensor> dequantize(
    std::vector<LazyTensor> tensors,
    const std::function<Packing(const std::string& path)>& packing) {
  std::map<std::string, LazyTensor> by_name;
  for (auto& tensor : tensors) {
    std::string name = tensor.name;
    by_name.emplace(name, std::move(tensor));
  }
  auto without = [](const std::string& name, const std::string& suffix) {
    return name.size() > suffix.size() &&
            name.compare(name.size() - suffix.size(), suffix.size(), suffix) ==
                0
        ? name.substr(0, name.size() - suffix.size())
        : std::string();
  };
  std::vector<LazyTensor> out;
  for (const auto& [name, tensor] : by_name) {
    bool part = false;
    for (const char* suffix : {".scales", ".biases"}) {
      std::string path = without(name, suffix);
      part = part ||
          (!path.empty() && by_name.count(path + ".scales") &&
           by_name.count(path + weight_suffix));
    }
    if (part) {
      continue;
    }
    std::string path = without(name, weight_suffix);
    auto scales = path.empty() ? by_name.end() : by_name.find(path + ".scales");
    if (scales == by_name.end()) {
      out.push_back(tensor);
      continue;
    }
    Packing how = packing(path);
    auto biases = by_name.find(path + ".biases");
    bool affine = how.mode == "affine";
    const Shape& packed = tensor.shape;
    int64_t columns = packed.size() == 2 ? packed[1] * 32 / how.bits : 0;
    bool fits = tensor.dtype == DType::uint32 && columns > 0 &&
        columns % how.group_size == 0 && packed[0] > 0 &&
        packed[0] <= INT32_MAX && columns <= INT32_MAX &&
        scales->second.shape == Shape{packed[0], columns / how.group_size} &&
        (!affine ||
         (checkpoint::is_float(scales->second.dtype) &&
          biases != by_name.end() &&
          biases->second.dtype == scales->second.dtype &&
          biases->second.shape == scales->second.shape));
    if (!fits) {
      throw Error(
          ErrorKind::corrupt_data,
          "layer '" + path + "' is not packed in " + std::to_string(how.bits) +
              " bits and groups of " + std::to_string(how.group_size) +
              " as config.json says");
    }
    LazyTensor result{
        name,
        affine ? scales->second.dtype : DType::bfloat16,
        {packed[0], columns},
        {}};
    result.load = [weight = tensor,
                   scales = scales->second,
                   biases = affine ? biases->second : LazyTensor{},
                   how,
                   affine,
                   columns,
                   dtype = result.dtype] {
      Bytes w = weight.load();
      Bytes s = scales.load();
      Bytes b = affine ? biases.load() : Bytes{};
      Bytes out;
      int64_t step = std::max<int64_t>(1, piece_elements / columns);
      for (int64_t begin = 0; begin < weight.shape[0]; begin += step) {
        int64_t end = std::min(weight.shape[0], begin + step);
        auto piece = [&](const Bytes& bytes, const LazyTensor& like) {
          return rows_of(bytes, like.dtype, like.shape, begin, end);
        };
        auto back = mx::contiguous(
            mx::dequantize(
                piece(w, weight),
                piece(s, scales),
                affine ? std::optional(piece(b, biases)) : std::nullopt,
                how.group_size,
                how.bits,
                how.mode,
                std::nullopt,
                mlx_type(dtype)));
        mx::eval(back);
        append(out, back);
      }
      return out;
    };
    out.push_back(std::move(result));
  }
  return out;
}

} // namespace mlx_audio::convert
