#include "convert/import.h"

#include <filesystem>

#include "checkpoint/json.h"
#include "convert/kokoro.h"
#include "convert/whisper.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_with(
    const fs::path& folder,
    const std::string& extension) {
  std::vector<fs::path> found;
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.is_regular_file() && entry.path().extension() == extension) {
        found.push_back(entry.path());
      }
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The ONNX export carries weights only: config.json and the voices of the model
// lie beside it.
Import import_kokoro_onnx(const fs::path& onnx, const fs::path& folder) {
  Import result;
  result.model_type = "kokoro";
  result.format = "ONNX";
  result.config = checkpoint::read_json((folder / "config.json").string());
  result.config["model_type"] = result.model_type;
  result.tensors =
      kokoro_from_onnx(std::make_shared<checkpoint::OnnxFile>(onnx.string()));
  result.weights_file = "kokoro-v1_0.safetensors";
  for (const auto& voice : files_with(folder / "voices", ".bin")) {
    result.extra_tensors["voices/" + voice.stem().string() + ".safetensors"] = {
        kokoro_voice_from_raw(voice.string())};
  }
  return result;
}

Import import_whisper_ctranslate2(const fs::path& folder) {
  auto file = std::make_shared<checkpoint::CTranslate2File>(
      (folder / "model.bin").string());
  Import result;
  result.model_type = "whisper";
  result.format = "CTranslate2";
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

} // namespace

Import import_checkpoint(const std::string& path) {
  fs::path source(path);
  if (!fs::exists(source)) {
    throw Error(ErrorKind::not_found, "no file or folder '" + path + "'");
  }
  bool is_folder = fs::is_directory(source);
  fs::path folder = is_folder ? source : source.parent_path();
  auto onnx =
      is_folder ? files_with(folder, ".onnx") : std::vector<fs::path>{source};
  if (onnx.size() == 1 && onnx[0].extension() == ".onnx") {
    return import_kokoro_onnx(onnx[0], folder);
  }
  if (fs::exists(folder / "model.bin") &&
      (is_folder || source.filename() == "model.bin")) {
    return import_whisper_ctranslate2(folder);
  }
  throw Error(
      ErrorKind::unsupported, "'" + path + "' holds no checkpoint known here");
}

} // namespace mlx_audio::convert
