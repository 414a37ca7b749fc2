#include "audio/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

class FdSource : public ByteSource {
 public:
  FdSource(int fd, bool own, const std::string& name)
      : ByteSource(name), fd_(fd), own_(own) {
    struct stat info{};
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
      // Standard input may stand in the middle of a file.
      off_t here = ::lseek(fd, 0, SEEK_CUR);
      start_ = here > 0 ? static_cast<uint64_t>(here) : 0;
      auto end = static_cast<uint64_t>(info.st_size);
      size_ = end > start_ ? end - start_ : 0;
    }
  }
  FdSource(const FdSource&) = delete;
  FdSource& operator=(const FdSource&) = delete;
  ~FdSource() override {
    if (own_) {
      ::close(fd_);
    }
  }

 protected:
  size_t do_read(std::span<uint8_t> out) override {
    for (;;) {
      ssize_t n = ::read(fd_, out.data(), out.size());
      if (n >= 0) {
        return static_cast<size_t>(n);
      }
      if (errno != EINTR) {
        throw Error(
            ErrorKind::io, "cannot read " + name() + ": " + reason(errno));
      }
    }
  }
  void do_seek(uint64_t position) override {
    if (::lseek(fd_, static_cast<off_t>(start_ + position), SEEK_SET) < 0) {
      throw Error(
          ErrorKind::io, "cannot seek in " + name() + ": " + reason(errno));
    }
  }

 private:
  int fd_;
  bool own_;
  uint64_t start_ = 0;
};

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::span<const uint8_t> bytes)
      : ByteSource("the audio data"), bytes_(bytes) {
    size_ = bytes.size();
  }

 protected:
  size_t do_read(std::span<uint8_t> out) override {
    size_t n = std::min(out.size(), bytes_.size() - at_);
    std::copy_n(
        bytes_.begin() + static_cast<std::ptrdiff_t>(at_), n, out.begin());
    at_ += n;
    return n;
  }
  void do_seek(uint64_t position) override {
    at_ = static_cast<size_t>(std::min<uint64_t>(position, bytes_.size()));
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

} // namespace

size_t ByteSource::read(std::span<uint8_t> out) {
  if (out.empty()) {
    return 0;
  }
  size_t n = 0;
  if (position_ < peeked_.size()) {
    auto at = static_cast<size_t>(position_);
    n = std::min(out.size(), peeked_.size() - at);
    std::copy_n(
        peeked_.begin() + static_cast<std::ptrdiff_t>(at), n, out.begin());
  } else {
    if (below_ != position_) {
      do_seek(position_);
      below_ = position_;
    }
    n = do_read(out);
    below_ += n;
  }
  position_ += n;
  return n;
}

size_t ByteSource::read_full(std::span<uint8_t> out) {
  size_t total = 0;
  while (total < out.size()) {
    size_t n = read(out.subspan(total));
    if (n == 0) {
      break;
    }
    total += n;
  }
  return total;
}

std::span<const uint8_t> ByteSource::peek(size_t n) {
  while (position_ == 0 && below_ == peeked_.size() && peeked_.size() < n) {
    size_t at = peeked_.size();
    peeked_.resize(n);
    size_t got = do_read(std::span(peeked_).subspan(at));
    peeked_.resize(at + got);
    below_ += got;
    if (got == 0) {
      break;
    }
  }
  return std::span(peeked_).first(std::min(n, peeked_.size()));
}

void ByteSource::seek(uint64_t position) {
  if (!size_ && position != position_) {
    throw Error(ErrorKind::internal, "cannot seek in " + name());
  }
  position_ = position;
}

std::unique_ptr<ByteSource> open_source(const std::string& path) {
  if (path == "-") {
    return std::make_unique<FdSource>(STDIN_FILENO, false, "standard input");
  }
  std::string name = "'" + path + "'";
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(
        errno == ENOENT || errno == ENOTDIR ? ErrorKind::not_found
                                            : ErrorKind::io,
        "cannot read " + name + ": " + reason(errno));
  }
  auto source = std::make_unique<FdSource>(fd, true, name);
  struct stat info{};
  if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    throw Error(ErrorKind::io, "cannot read " + name + ": " + reason(EISDIR));
  }
  return source;
}

std::unique_ptr<ByteSource> memory_source(std::span<const uint8_t> bytes) {
  return std::make_unique<MemorySource>(bytes);
}

std::unique_ptr<ByteSource> spool(ByteSource& pipe, size_t max_bytes) {
  const char* folder = std::getenv("TMPDIR");
  std::string path =
      std::string(folder != nullptr && *folder ? folder : "/tmp") +
      "/mlx-audio-XXXXXX";
  int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) {
    throw Error(
        ErrorKind::io,
        "cannot write '" + path + "': " + reason(errno),
        "TMPDIR chooses the folder of temporary files.");
  }
  ::unlink(path.c_str());
  // Sized when all is written; owns the descriptor from here on.
  struct Closer {
    int fd;
    ~Closer() {
      if (fd >= 0) {
        ::close(fd);
      }
    }
  } closer{fd};
  std::vector<uint8_t> block(65536);
  uint64_t total = 0;
  while (size_t n = pipe.read(block)) {
    total += n;
    if (max_bytes > 0 && total > max_bytes) {
      throw Error(
          ErrorKind::too_large,
          pipe.name() + " is longer than " + std::to_string(max_bytes) +
              " bytes");
    }
    std::span<const uint8_t> left(block.data(), n);
    while (!left.empty()) {
      ssize_t put = ::write(fd, left.data(), left.size());
      if (put < 0 && errno != EINTR) {
        throw Error(
            ErrorKind::io, "cannot write '" + path + "': " + reason(errno));
      }
      left = left.subspan(static_cast<size_t>(std::max<ssize_t>(put, 0)));
    }
  }
  ::lseek(fd, 0, SEEK_SET);
  closer.fd = -1;
  return std::make_unique<FdSource>(fd, true, pipe.name());
}

} // namespace mlx_audio::audio
