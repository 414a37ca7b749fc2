#include "convert/convert.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "checkpoint/safetensors_writer.h"
#include "convert/import.h"
#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace {

namespace fs = std::filesystem;

// A folder beside the output that becomes the output, or vanishes.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& output)
      : output_(output.has_filename() ? output : output.parent_path()),
        work_(output_.string() + ".part-" + std::to_string(::getpid())) {
    if (fs::exists(output_) &&
        !(fs::is_directory(output_) && fs::is_empty(output_))) {
      throw Error(
          ErrorKind::invalid_argument,
          "'" + output_.string() + "' exists already",
          "name another --mlx-path or remove it");
    }
    std::error_code error;
    fs::create_directories(work_, error);
    if (error) {
      throw Error(
          ErrorKind::io,
          "cannot make the folder '" + work_.string() +
              "': " + error.message());
    }
  }

  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(work_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& path() const {
    return work_;
  }

  void commit() {
    std::error_code error;
    fs::rename(work_, output_, error);
    if (error) {
      throw Error(
          ErrorKind::io,
          "cannot name the result '" + output_.string() +
              "': " + error.message());
    }
  }

 private:
  fs::path output_;
  fs::path work_;
};

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) {
    throw Error(ErrorKind::io, "cannot write '" + path.string() + "'");
  }
}

void copy_side_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  fs::copy_file(from, to, error);
  if (error) {
    throw Error(
        ErrorKind::io,
        "cannot copy '" + from.string() + "': " + error.message());
  }
}

} // namespace

void convert(const ConvertOptions& options) {
  Import import = import_checkpoint(options.source);
  NewFolder folder(options.output);
  if (options.dtype) {
    for (auto& tensor : import.tensors) {
      tensor = checkpoint::cast(std::move(tensor), *options.dtype);
    }
  }
  for (const auto& [name, tensors] : import.extra_tensors) {
    fs::path path = folder.path() / name;
    fs::create_directories(path.parent_path());
    checkpoint::write_safetensors(path.string(), tensors);
  }
  for (const auto& [name, value] : import.side_files) {
    write_text(folder.path() / name, value.dump(4) + "\n");
  }
  for (const auto& [name, from] : import.copies) {
    copy_side_file(from, folder.path() / name);
  }
  write_text(folder.path() / "config.json", import.config.dump(4) + "\n");
  if (import.weights_file.empty()) {
    checkpoint::write_sharded_safetensors(
        folder.path().string(),
        std::move(import.tensors),
        5'000'000'000,
        options.progress);
  } else {
    checkpoint::write_safetensors(
        (folder.path() / import.weights_file).string(),
        std::move(import.tensors),
        {{"format", "mlx"}},
        options.progress);
  }
  folder.commit();
}

} // namespace mlx_audio::convert
