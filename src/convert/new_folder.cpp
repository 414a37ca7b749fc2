#include "convert/new_folder.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "mlx_audio/error.h"

namespace mlx_audio::convert {

namespace fs = std::filesystem;

namespace {

const std::string mark = ".part-";

void remove_leftovers(const fs::path& output) {
  std::error_code ignored;
  std::string start = output.filename().string() + mark;
  fs::path parent = fs::absolute(output).parent_path();
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    std::string name = entry.path().filename().string();
    if (name.rfind(start, 0) != 0) {
      continue;
    }
    auto id = std::atoi(name.c_str() + start.size());
    if (id > 0 && ::kill(id, 0) != 0 && errno == ESRCH) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

} // namespace

NewFolder::NewFolder(const std::string& output, uint64_t bytes)
    : output_(fs::path(output).lexically_normal()) {
  if (!output_.has_filename()) {
    output_ = output_.parent_path();
  }
  work_ = output_.string() + mark + std::to_string(::getpid());
  if (output_.empty() ||
      (fs::exists(output_) &&
       !(fs::is_directory(output_) && fs::is_empty(output_)))) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + output_.string() + "' exists already",
        "name another --mlx-path or remove it");
  }
  std::error_code error;
  remove_leftovers(output_);
  fs::create_directories(work_, error);
  if (error) {
    throw Error(
        ErrorKind::io,
        "cannot make the folder '" + work_.string() + "': " + error.message());
  }
  auto space = fs::space(work_, error);
  if (!error && space.available < bytes) {
    fs::remove_all(work_, error);
    throw Error(
        ErrorKind::io,
        "'" + output_.string() + "' needs " + std::to_string(bytes) +
            " bytes, the disk has " + std::to_string(space.available),
        "free some space or name another --mlx-path");
  }
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  fs::remove_all(work_, ignored);
}

void NewFolder::write(const std::string& name, const std::string& text) const {
  fs::path path = work_ / name;
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) {
    throw Error(ErrorKind::io, "cannot write '" + path.string() + "'");
  }
}

void NewFolder::copy(const std::string& name, const std::string& from) const {
  fs::path to = work_ / name;
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  fs::copy_file(from, to, error);
  if (error) {
    throw Error(
        ErrorKind::io, "cannot copy '" + from + "': " + error.message());
  }
}

void NewFolder::commit() {
  std::error_code error;
  fs::rename(work_, output_, error);
  if (error) {
    throw Error(
        ErrorKind::io,
        "cannot name the result '" + output_.string() +
            "': " + error.message());
  }
}

} // namespace mlx_audio::convert
