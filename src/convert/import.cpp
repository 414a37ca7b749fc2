#include "convert/import.h"

#include <filesystem>
#include <fstream>

#include "checkpoint/json.h"
#include "checkpoint/license.h"
#include "checkpoint/torch_file.h"
#include "convert/kokoro.h"
#include "convert/mossformer2.h"
#include "convert/source.h"
#include "convert/vibevoice.h"
#include "convert/whisper.h"
#include "mlx_audio/error.h"
#include "models/vibevoice_asr/load.h"

namespace mlx_audio::convert {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The config of a folder, as an object; empty if there is none.
json config_of(const fs::path& folder) {
  fs::path path = folder / "config.json";
  return fs::exists(path) ? checkpoint::read_json(path.string())
                          : json::object();
}

std::string model_type_of(const json& config, const Source& source) {
  auto type = config.find("model_type");
  if (type != config.end() && type->is_string()) {
    return type->get<std::string>();
  }
  if (config.contains("istftnet") && config.contains("plbert")) {
    return "kokoro";
  }
  if (config.contains("n_audio_state") || source.values.contains("dims")) {
    return "whisper";
  }
  throw Error(
      ErrorKind::unsupported,
      "config.json names no model_type and is neither Kokoro's nor Whisper's");
}

// Everything beside weights that a model needs: configs, tokenizers, voices and
// the parts in subfolders.
void add_side_files(
    Import& result,
    const fs::path& folder,
    const std::set<std::string>& read) {
  static const std::set<std::string> extensions = {
      ".json",
      ".yaml",
      ".tiktoken",
      ".model",
      ".txt",
      ".jinja",
      ".jsonl",
      ".wav",
      ".safetensors",
      ".npz"};
  for (auto entry = fs::recursive_directory_iterator(folder);
       entry != fs::recursive_directory_iterator();
       ++entry) {
    const fs::path& path = entry->path();
    std::string name = path.filename().string();
    if (name[0] == '.') {
      entry.disable_recursion_pending();
      continue;
    }
    std::string relative = path.lexically_relative(folder).string();
    bool licence = name.rfind("LICENSE", 0) == 0 || name == "NOTICE";
    if (!entry->is_regular_file() ||
        (!licence && !extensions.count(path.extension().string())) ||
        relative == "config.json" ||
        relative == "model.safetensors.index.json" ||
        read.count(fs::absolute(path).lexically_normal().string())) {
      continue;
    }
    result.copies[relative] = path.string();
  }
}

void add_kokoro_voices(Import& result, const fs::path& folder) {
  fs::path voices = folder / "voices";
  auto add = [&](const std::string& path, auto read) {
    std::string name = fs::path(path).stem().string();
    result.extra_tensors["voices/" + name + ".safetensors"] = {read(path)};
  };
  for (const auto& path : files_with(voices.string(), ".bin")) {
    add(path, kokoro_voice_from_raw);
  }
  for (const auto& path : files_with(voices.string(), ".pt")) {
    add(path, kokoro_voice_from_torch);
  }
}

// The ONNX export carries weights only: config.json and the voices of the model
// lie beside it.
Import import_kokoro_onnx(const fs::path& onnx, const fs::path& folder) {
  Import result;
  result.model_type = "kokoro";
  result.format = "ONNX";
  result.license = "apache-2.0";
  result.config = checkpoint::read_json((folder / "config.json").string());
  result.config["model_type"] = result.model_type;
  result.tensors =
      kokoro_from_onnx(std::make_shared<checkpoint::OnnxFile>(onnx.string()));
  result.weights_file = "kokoro-v1_0.safetensors";
  add_kokoro_voices(result, folder);
  return result;
}

Import import_whisper_ctranslate2(const fs::path& folder) {
  auto file = std::make_shared<checkpoint::CTranslate2File>(
      (folder / "model.bin").string());
  Import result;
  result.model_type = "whisper";
  result.format = "CTranslate2";
  result.license = "mit";
  result.tensors = whisper_from_ctranslate2(file);
  result.config = whisper_dims(*file);
  result.side_files = whisper_side_files(
      result.config,
      checkpoint::read_json((folder / "config.json").string()),
      checkpoint::read_json((folder / "tokenizer.json").string()));
  result.config["model_type"] = result.model_type;
  result.copies["tokenizer.json"] = (folder / "tokenizer.json").string();
  return result;
}

Import import_weights(const fs::path& path, const fs::path& folder) {
  Source source = open_source(path.string());
  Import result;
  result.config = config_of(folder);
  result.model_type = model_type_of(result.config, source);
  result.config["model_type"] = result.model_type;
  result.format = source.format;
  result.license = checkpoint::license_in(folder.string());
  result.layout = source.layout.empty() ? "pt" : source.layout;
  result.tensors = std::move(source.tensors);
  add_side_files(result, folder, source.files);
  if (result.model_type == "kokoro") {
    result.layout = "mlx";
    result.weights_file = "kokoro-v1_0.safetensors";
    result.tensors = kokoro_from_torch(std::move(result.tensors));
    add_kokoro_voices(result, folder);
  } else if (result.model_type == "whisper") {
    result.layout = "mlx";
    if (source.values.contains("dims")) {
      result.config.update(source.values["dims"]);
    }
    result.config = whisper_config(std::move(result.config));
    result.tensors = whisper_to_mlx(std::move(result.tensors));
  } else if (result.model_type == "mossformer2_se") {
    result.layout = "mlx";
    result.tensors = mossformer2_to_mlx(std::move(result.tensors));
  } else if (vibevoice_asr::matches(result.config)) {
    result.layout = "mlx";
    result.model_type = "vibevoice_asr";
    result.config["model_type"] = result.model_type;
    result.tensors = vibevoice_to_mlx(std::move(result.tensors));
  } else if (source.format == "NumPy") {
    result.layout = "mlx"; // .npz is what MLX saved before safetensors
  }
  return result;
}

bool is_ctranslate2(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  uint32_t version = 0;
  uint16_t size = 0;
  in.read(reinterpret_cast<char*>(&version), 4);
  in.read(reinterpret_cast<char*>(&size), 2);
  return in && version < 64 && size > 1 && size < 64;
}

// A folder of ClearerVoice has no config.json.
std::optional<Import> import_clearervoice(const fs::path& path) {
  auto file = clearervoice_file(path.string());
  if (file.empty()) {
    return std::nullopt;
  }
  auto torch = std::make_shared<checkpoint::TorchFile>(file);
  Import result;
  result.tensors = mossformer2_to_mlx(checkpoint::lazy_tensors(torch));
  if (result.tensors.empty()) {
    return std::nullopt;
  }
  result.model_type = "mossformer2_se";
  result.format = "ClearerVoice";
  result.layout = "mlx";
  result.config = mossformer2_config(result.tensors);
  return result;
}

} // namespace

Import import_checkpoint(const std::string& path) {
  fs::path source(path);
  if (!fs::exists(source)) {
    throw Error(
        ErrorKind::not_found,
        "no file or folder '" + path + "'",
        "give a folder, a file or a Hugging Face repository id");
  }
  bool is_folder = fs::is_directory(source);
  fs::path folder = is_folder ? source : fs::absolute(source).parent_path();
  if (!is_folder && source.extension() == ".onnx") {
    return import_kokoro_onnx(source, folder);
  }
  if (is_folder) {
    auto onnx = files_with(path, ".onnx");
    if (onnx.size() == 1 && files_with(path, ".safetensors").empty() &&
        files_with(path, ".pth").empty()) {
      return import_kokoro_onnx(onnx[0], folder);
    }
  }
  fs::path model = is_folder ? folder / "model.bin" : source;
  if (model.filename() == "model.bin" && is_ctranslate2(model)) {
    return import_whisper_ctranslate2(folder);
  }
  if (auto clearervoice = import_clearervoice(source)) {
    return std::move(*clearervoice);
  }
  return import_weights(source, folder);
}

} // namespace mlx_audio::convert
