// Sinks: files that appear whole or not at all, standard output, memory,
// callbacks.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <system_error>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

// Paths of temporaries in being. Whoever exchanges a slot to null owns the
// string: the sink that ends, or a signal handler, never both.
std::array<std::atomic<char*>, 256> unfinished_files;
static_assert(std::atomic<char*>::is_always_lock_free);

std::atomic<char*>* remember(const std::string& path) {
  char* copy = ::strdup(path.c_str());
  for (auto& slot : unfinished_files) {
    char* expected = nullptr;
    if (copy != nullptr && slot.compare_exchange_strong(expected, copy)) {
      return &slot;
    }
  }
  std::free(copy);
  return nullptr; // more than 256 files at once: only the destructor removes it
}

void forget(std::atomic<char*>* slot) {
  if (slot != nullptr) {
    std::free(slot->exchange(nullptr));
  }
}

[[noreturn]] void fail(const std::string& name, int error) {
  throw Error(
      ErrorKind::io,
      "cannot write '" + name + "': " + std::generic_category().message(error),
      error == ENOSPC ? "Free some space or write to another disk." : "");
}

void write_all(
    int fd,
    std::span<const uint8_t> bytes,
    const std::string& name) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      fail(name, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

class FdSink : public ByteSink {
 public:
  FdSink(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  void write(std::span<const uint8_t> bytes) override {
    if (buffer_.size() + bytes.size() > kBuffer) {
      flush();
    }
    if (bytes.size() > kBuffer) {
      write_all(fd_, bytes, name_);
    } else {
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    }
  }

  void flush() override {
    write_all(fd_, buffer_, name_);
    buffer_.clear();
  }

  void finish() override {
    flush();
  }

 protected:
  static constexpr size_t kBuffer = 65536;
  int fd_;
  std::string name_;
  std::vector<uint8_t> buffer_;
};

/// A device or FIFO, closed at the end.
class DirectSink : public FdSink {
 public:
  using FdSink::FdSink;
  DirectSink(const DirectSink&) = delete;
  DirectSink& operator=(const DirectSink&) = delete;
  ~DirectSink() override {
    ::close(fd_);
  }
};

class FileSink : public FdSink {
 public:
  FileSink(int fd, std::string name, std::string target, std::string temporary)
      : FdSink(fd, std::move(name)),
        target_(std::move(target)),
        temporary_(std::move(temporary)),
        slot_(remember(temporary_)) {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  ~FileSink() override {
    if (fd_ >= 0) {
      ::close(fd_);
    }
    if (!finished_) {
      ::unlink(temporary_.c_str());
      forget(slot_);
    }
  }

  bool can_patch() const override {
    return true;
  }

  void patch(uint64_t offset, std::span<const uint8_t> bytes) override {
    flush();
    while (!bytes.empty()) {
      ssize_t n =
          ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) {
          continue;
        }
        fail(name_, errno);
      }
      bytes = bytes.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
  }

  void finish() override {
    flush();
    int closed = ::close(fd_); // NFS and quotas report a full disk here
    fd_ = -1;
    if (closed != 0) {
      fail(name_, errno);
    }
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
      fail(name_, errno);
    }
    finished_ = true;
    forget(slot_);
  }

 private:
  std::string target_;
  std::string temporary_;
  std::atomic<char*>* slot_;
  bool finished_ = false;
};

class MemorySink : public ByteSink {
 public:
  explicit MemorySink(std::vector<uint8_t>& bytes)
      : bytes_(bytes), start_(bytes.size()) {}
  void write(std::span<const uint8_t> bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  bool can_patch() const override {
    return true;
  }
  void patch(uint64_t offset, std::span<const uint8_t> bytes) override {
    std::memcpy(bytes_.data() + start_ + offset, bytes.data(), bytes.size());
  }

 private:
  std::vector<uint8_t>& bytes_;
  size_t start_;
};

class CallbackSink : public ByteSink {
 public:
  explicit CallbackSink(std::function<void(std::span<const uint8_t>)> write)
      : write_(std::move(write)) {}
  void write(std::span<const uint8_t> bytes) override {
    write_(bytes);
  }

 private:
  std::function<void(std::span<const uint8_t>)> write_;
};

/// "out/a.wav" -> "out/.a.wav.x7k2m1.part"
std::string temporary_name(const std::string& target) {
  static constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  size_t slash = target.rfind('/');
  size_t split = slash == std::string::npos ? 0 : slash + 1;
  // A file name may have 255 bytes; the rest is ours.
  std::string name =
      target.substr(0, split) + "." + target.substr(split).substr(0, 200) + ".";
  for (int i = 0; i < 8; ++i) {
    name += letters[random() % (sizeof(letters) - 1)];
  }
  return name + ".part";
}

} // namespace

void ByteSink::patch(uint64_t /*offset*/, std::span<const uint8_t> /*bytes*/) {
  throw Error(ErrorKind::internal, "this sink cannot change earlier bytes");
}

std::unique_ptr<ByteSink> file_sink(const std::string& path) {
  if (path.empty()) {
    throw Error(ErrorKind::invalid_argument, "the output path is empty");
  }
  std::string target = path;
  struct stat info{};
  bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    fail(path, EISDIR);
  }
  if (exists && !S_ISREG(info.st_mode)) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      fail(path, errno);
    }
    return std::make_unique<DirectSink>(fd, path);
  }
  if (exists) {
    // Replacing a read-only file is not what its owner meant.
    if (::access(path.c_str(), W_OK) != 0) {
      fail(path, errno);
    }
    // A symbolic link stays, what it points to is replaced.
    if (char* real = ::realpath(path.c_str(), nullptr)) {
      target = real;
      std::free(real);
    }
  } else if (path.back() == '/') {
    fail(path, EISDIR);
  }
  for (int attempt = 0;; ++attempt) {
    std::string temporary = temporary_name(target);
    int fd =
        ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
      if (errno == EEXIST && attempt < 100) {
        continue;
      }
      fail(path, errno);
    }
    if (exists) {
      (void)::fchmod(fd, info.st_mode & 07777); // keep the mode where we may
    }
    return std::make_unique<FileSink>(fd, path, target, temporary);
  }
}

std::unique_ptr<ByteSink> stdout_sink() {
  return std::make_unique<FdSink>(STDOUT_FILENO, "standard output");
}

std::unique_ptr<ByteSink> memory_sink(std::vector<uint8_t>& bytes) {
  return std::make_unique<MemorySink>(bytes);
}

std::unique_ptr<ByteSink> callback_sink(
    std::function<void(std::span<const uint8_t>)> write) {
  return std::make_unique<CallbackSink>(std::move(write));
}

void remove_unfinished_files() noexcept {
  int saved = errno;
  for (auto& slot : unfinished_files) {
    // The string is leaked: free() is not async-signal-safe.
    if (char* path = slot.exchange(nullptr)) {
      ::unlink(path);
    }
  }
  errno = saved;
}

} // namespace mlx_audio
