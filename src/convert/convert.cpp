#include "convert/convert.h"

#include <filesystem>

#include "checkpoint/safetensors_writer.h"
#include "convert/import.h"
#include "convert/kokoro.h"
#include "convert/model_card.h"
#include "convert/new_folder.h"
#include "mlx/mlx.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

namespace mx = mlx::core;
using checkpoint::DType;
using nlohmann::json;

bool is_quantized(const Import& import) {
  for (const auto& tensor : import.tensors) {
    if (tensor.name.size() > 7 &&
        tensor.name.compare(tensor.name.size() - 7, 7, ".scales") == 0) {
      return true;
    }
  }
  return false;
}

std::optional<DType> type_in(const json& config) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    auto found = config.find(key);
    if (found != config.end() && found->is_string()) {
      std::string name = found->get<std::string>();
      if (name == "float16") {
        return DType::float16;
      }
      if (name == "bfloat16") {
        return DType::bfloat16;
      }
      if (name == "float32") {
        return DType::float32;
      }
    }
  }
  return std::nullopt;
}

Packing packing_in(const json& config, const std::string& path) {
  json all = config.value(
      "quantization", config.value("quantization_config", json::object()));
  Packing packing;
  auto read = [&](const json& from) {
    packing.bits = from.value("bits", packing.bits);
    packing.group_size = from.value("group_size", packing.group_size);
    packing.mode = from.value("mode", packing.mode);
  };
  try {
    read(all);
    auto own = all.find(path);
    if (own != all.end() && own->is_object()) {
      read(*own);
    }
  } catch (const json::exception&) {
    throw Error(
        ErrorKind::corrupt_data,
        "config.json does not say how '" + path + "' is quantized");
  }
  QuantizeOptions check{
      packing.bits, packing.group_size, packing.mode, "", false};
  return packing_of(check);
}

json to_json(const Packing& packing) {
  return {
      {"group_size", packing.group_size},
      {"bits", packing.bits},
      {"mode", packing.mode}};
}

// config.json's "quantization": the common packing, and each layer that
// differs.
void note_quantization(
    json& config,
    const QuantizeOptions& options,
    const std::vector<LayerReport>& report) {
  Packing base = packing_of(options);
  if (!options.recipe.empty()) {
    base.bits = options.recipe[6] - '0';
  }
  json value = to_json(base);
  for (const auto& layer : report) {
    if (layer.packing && *layer.packing != base) {
      value[layer.name] = to_json(*layer.packing);
    }
  }
  config["quantization"] = value;
  config["quantization_config"] = value;
}

// Runs the source's unquantized form, made for that beside the output.
Calibration calibration_of(
    const ConvertOptions& options,
    const std::string& model_type) {
  NewFolder room(options.output, 0);
  ConvertOptions plain;
  plain.source = options.source;
  plain.output = (room.path() / "unquantized").string();
  convert(plain);
  return calibrate(
      model_type,
      plain.output,
      options.calibration_audio,
      options.calibration_speaker);
}

} // namespace

ConvertReport convert(const ConvertOptions& options) {
  if (options.quantize && options.dequantize) {
    throw Error(
        ErrorKind::invalid_argument,
        "quantize and dequantize exclude each other");
  }
  if (options.quantize) {
    packing_of(*options.quantize);
  }
  Import import = import_checkpoint(options.source);
  bool packed = is_quantized(import);
  if (options.quantize && packed) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + options.source + "' is quantized already",
        "dequantize it first (-d)");
  }
  if (options.dequantize && !packed) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + options.source + "' is not quantized");
  }
  // Freed buffers are of no use to a stream of tensors of other sizes.
  mx::set_cache_limit(0);
  auto dtype = options.dtype ? options.dtype : type_in(import.config);
  ConvertReport result;
  result.model_type = import.model_type;
  result.format = import.format;
  for (const auto& tensor : import.tensors) {
    result.bytes_before += tensor.bytes();
  }
  if (options.dequantize) {
    import.tensors = dequantize(
        std::move(import.tensors),
        [config = import.config](const std::string& path) {
          return packing_in(config, path);
        });
    import.config.erase("quantization");
    import.config.erase("quantization_config");
  }
  if (dtype) {
    for (auto& tensor : import.tensors) {
      tensor = checkpoint::cast(std::move(tensor), *dtype);
    }
    if (options.dtype && import.config.contains("torch_dtype")) {
      import.config["torch_dtype"] = *dtype == DType::float16 ? "float16"
          : *dtype == DType::bfloat16                         ? "bfloat16"
                                                              : "float32";
    }
  }
  if (import.model_type == "kokoro" &&
      (options.quantize || options.dequantize)) {
    import.tensors =
        kokoro_layout(std::move(import.tensors), options.quantize.has_value());
  }
  for (const auto& tensor : import.tensors) {
    result.parameters += checkpoint::element_count(tensor.shape);
  }
  auto report = std::make_shared<std::vector<LayerReport>>();
  if (options.quantize) {
    QuantizeOptions how = *options.quantize;
    if (how.refit && !options.dry_run &&
        calibrates(
            import.model_type,
            options.calibration_audio,
            options.calibration_speaker)) {
      how.calibration = calibration_of(options, import.model_type);
      result.calibration = how.calibration.source;
    }
    import.tensors =
        quantize(std::move(import.tensors), import.model_type, how, report);
    note_quantization(import.config, how, *report);
  } else {
    for (const auto& tensor : import.tensors) {
      report->push_back(
          {tensor.name, tensor.shape, {}, tensor.bytes(), tensor.bytes()});
    }
  }
  for (const auto& tensor : import.tensors) {
    result.bytes_after += tensor.bytes();
  }
  if (!options.dry_run) {
    NewFolder folder(options.output, result.bytes_after);
    for (const auto& [name, tensors] : import.extra_tensors) {
      std::filesystem::path path = folder.path() / name;
      std::filesystem::create_directories(path.parent_path());
      checkpoint::write_safetensors(path.string(), tensors);
    }
    for (const auto& [name, value] : import.side_files) {
      folder.write(name, value.dump(4) + "\n");
    }
    for (const auto& [name, from] : import.copies) {
      folder.copy(name, from);
    }
    folder.write("config.json", import.config.dump(4) + "\n");
    std::map<std::string, std::string> metadata = {{"format", import.layout}};
    if (import.weights_file.empty()) {
      checkpoint::write_sharded_safetensors(
          folder.path().string(),
          std::move(import.tensors),
          options.shard_bytes,
          metadata,
          options.progress);
    } else {
      checkpoint::write_safetensors(
          (folder.path() / import.weights_file).string(),
          std::move(import.tensors),
          metadata,
          options.progress);
    }
    result.layers = *report;
    folder.write("README.md", model_card(import, options, result));
    folder.commit();
  }
  result.layers = *report;
  return result;
}

} // namespace mlx_audio::convert
