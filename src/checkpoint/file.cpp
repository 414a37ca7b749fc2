#include "checkpoint/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  int code = errno;
  throw Error(
      code == ENOENT || code == ENOTDIR ? ErrorKind::not_found : ErrorKind::io,
      "cannot " + what + " '" + path +
          "': " + std::generic_category().message(code));
}

} // namespace

std::shared_ptr<const File> File::open(const std::string& path) {
  std::shared_ptr<File> file(new File);
  file->path_ = path;
  file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file->fd_ < 0) {
    fail("open", path);
  }
  struct stat status{};
  if (::fstat(file->fd_, &status) != 0) {
    fail("read", path);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::invalid_argument, "'" + path + "' is not a file");
  }
  auto size = static_cast<size_t>(status.st_size);
  if (size > 0) {
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file->fd_, 0);
    if (data == MAP_FAILED) {
      fail("map", path);
    }
    file->mapped_ = true;
    file->data_ = {static_cast<const std::byte*>(data), size};
  }
  return file;
}

std::shared_ptr<const File> File::from_memory(
    std::span<const std::byte> bytes,
    std::string name) {
  std::shared_ptr<File> file(new File);
  file->path_ = std::move(name);
  file->data_ = bytes;
  return file;
}

File::~File() {
  if (mapped_) {
    ::munmap(const_cast<std::byte*>(data_.data()), data_.size());
  }
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void File::read_at(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size() || out.size() > size() - offset) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path_ + "' ends before byte " +
            std::to_string(offset + out.size()));
  }
  if (fd_ < 0) {
    std::copy_n(data_.data() + offset, out.size(), out.data());
    return;
  }
  while (!out.empty()) {
    size_t chunk = std::min<size_t>(out.size(), size_t{1} << 30);
    ssize_t got = ::pread(fd_, out.data(), chunk, static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail("read", path_);
    }
    if (got == 0) {
      throw Error(
          ErrorKind::corrupt_data, "'" + path_ + "' was cut while being read");
    }
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

} // namespace mlx_audio::checkpoint
