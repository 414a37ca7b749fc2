#include "hub/blob.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "hub/hash.h"
#include "mlx_audio/error.h"

namespace mlx_audio::hub {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t chunk_bytes = uint64_t{8} << 20;

[[noreturn]] void io_error(const std::string& what, const std::string& path) {
  int code = errno;
  bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  throw Error(
      ErrorKind::io,
      what + " '" + path + "': " + std::strerror(code),
      full ? "free some space, or name another disk in HF_HUB_CACHE; what has "
             "come so far is kept"
           : "");
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666)) {
    if (fd_ < 0) {
      io_error("cannot open", path);
    }
  }
  ~Descriptor() {
    ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  operator int() const {
    return fd_;
  }

 private:
  int fd_;
};

// Waits for the lock that huggingface_hub (by filelock) takes too.
void lock(const Descriptor& file, const Client& client) {
  while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return; // a file system without locks: the unique hash still protects
    }
    client.check_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// Thrown inside when the server gives whole files only.
struct NoRanges {};

// A download in progress: chunks are handed out in order and appended in order.
class Download {
 public:
  Download(const Client& client, const BlobJob& job)
      : client_(client),
        job_(job),
        path_(job.path + ".incomplete"),
        file_(path_, O_RDWR | O_CREAT),
        hash_(job.file.hash.size(), job.file.size) {}

  // Hashes what an earlier download has left.
  void resume() {
    struct stat status{};
    ::fstat(file_, &status);
    auto left = static_cast<uint64_t>(status.st_size);
    if (left > job_.file.size) {
      restart();
      return;
    }
    std::vector<char> buffer(size_t{1} << 20);
    while (written_ < left) {
      client_.check_cancelled();
      ssize_t got = ::pread(
          file_, buffer.data(), buffer.size(), static_cast<off_t>(written_));
      if (got <= 0) {
        io_error("cannot read", path_);
      }
      hash_.update({buffer.data(), static_cast<size_t>(got)});
      written_ += static_cast<uint64_t>(got);
    }
    resumed_ = written_ > 0;
  }

  void restart() {
    if (::ftruncate(file_, 0) != 0) {
      io_error("cannot write", path_);
    }
    job_.received(-static_cast<int64_t>(written_));
    written_ = 0;
    resumed_ = false;
    error_ = nullptr;
    hash_ = BlobHash(job_.file.hash.size(), job_.file.size);
  }

  void run() {
    try {
      fetch_all(true);
    } catch (const NoRanges&) {
      restart();
      fetch_all(false);
    }
  }

  bool was_resumed() const {
    return resumed_;
  }
  bool is_right() {
    return hash_.digest() == job_.file.hash;
  }
  void keep() {
    if (::fdatasync(file_) != 0 ||
        ::rename(path_.c_str(), job_.path.c_str()) != 0) {
      io_error("cannot write", job_.path);
    }
  }
  void discard() {
    ::unlink(path_.c_str());
  }

 private:
  struct Chunk {
    uint64_t begin;
    uint64_t end;
    std::string buffer; // bytes that wait for their turn
    uint64_t position() const {
      return begin + buffer.size();
    }
  };

  void fetch_all(bool ranges) {
    next_ = written_;
    uint64_t left = job_.file.size - written_;
    uint64_t chunk = ranges ? chunk_bytes : std::max<uint64_t>(left, 1);
    auto wanted = std::max<uint64_t>(
        1,
        std::min<uint64_t>(
            static_cast<uint64_t>(std::max(job_.connections, 1)),
            (left + chunk - 1) / chunk));
    auto work = [&] {
      try {
        while (auto part = take(chunk)) {
          fetch_chunk(*part, ranges);
        }
      } catch (...) {
        std::lock_guard guard(mutex_);
        if (!error_) {
          error_ = std::current_exception();
        }
      }
    };
    std::vector<std::thread> threads;
    for (uint64_t i = 1; i < wanted; ++i) {
      threads.emplace_back(work);
    }
    work();
    for (auto& thread : threads) {
      thread.join();
    }
    if (error_) {
      std::rethrow_exception(std::exchange(error_, nullptr));
    }
  }

  std::optional<Chunk> take(uint64_t size) {
    std::lock_guard guard(mutex_);
    if (error_ || next_ >= job_.file.size) {
      return std::nullopt;
    }
    Chunk chunk{next_, std::min(job_.file.size, next_ + size), {}};
    next_ = chunk.end;
    return chunk;
  }

  bool failed() {
    std::lock_guard guard(mutex_);
    return error_ != nullptr;
  }

  // Appends what has come if it is this chunk's turn.
  void flush(Chunk& chunk) {
    std::lock_guard guard(mutex_);
    if (chunk.begin != written_) {
      return;
    }
    size_t done = 0;
    while (done < chunk.buffer.size()) {
      ssize_t put = ::pwrite(
          file_,
          chunk.buffer.data() + done,
          chunk.buffer.size() - done,
          static_cast<off_t>(written_ + done));
      if (put < 0 && errno == EINTR) {
        continue;
      }
      if (put <= 0) {
        io_error("cannot write", path_);
      }
      done += static_cast<size_t>(put);
    }
    hash_.update(chunk.buffer);
    written_ += done;
    chunk.begin += done;
    chunk.buffer.clear();
  }

  void fetch_chunk(Chunk& chunk, bool ranges) {
    for (Retry retry(client_); chunk.position() < chunk.end;) {
      if (!ranges && chunk.begin > 0) {
        take_back(chunk);
      }
      uint64_t before = chunk.position();
      std::exception_ptr inside;
      HttpRequest request;
      request.url = job_.url;
      request.headers = {"Accept-Encoding: identity"};
      bool whole = before == 0 && chunk.end == job_.file.size;
      if (!whole) {
        request.headers.push_back(
            "Range: bytes=" + std::to_string(before) + "-" +
            std::to_string(chunk.end - 1));
      }
      request.sink = [&](const HttpResponse& head, std::string_view data) {
        try {
          check_head(head, before, whole);
          if (data.size() > chunk.end - chunk.position()) {
            throw Error(
                ErrorKind::corrupt_data,
                "the Hub sends more bytes of '" + job_.file.path +
                    "' than there are");
          }
          chunk.buffer.append(data);
          job_.received(static_cast<int64_t>(data.size()));
          flush(chunk);
        } catch (...) {
          // No exception may pass through libcurl.
          inside = std::current_exception();
        }
        return !inside && !failed();
      };
      HttpResponse response = client_.once(request);
      if (inside) {
        std::rethrow_exception(inside);
      }
      if (failed()) {
        return;
      }
      if (chunk.position() > before) {
        retry.progressed();
      }
      if (chunk.position() < chunk.end) {
        if (response.status / 100 == 2 && response.failure.empty()) {
          response.failure = "the connection closed early";
        }
        retry.after(response);
      }
    }
    await_turn(chunk);
  }

  // Without ranges a broken transfer begins again.
  void take_back(Chunk& chunk) {
    uint64_t came = chunk.position();
    restart();
    job_.received(-static_cast<int64_t>(came - chunk.begin));
    chunk.begin = 0;
    chunk.buffer.clear();
  }

  void check_head(const HttpResponse& head, uint64_t from, bool whole) const {
    if (!whole && head.status != 206) {
      throw NoRanges();
    }
    if (head.status == 206) {
      std::string range = head.header("content-range");
      std::string want = "bytes " + std::to_string(from) + "-";
      std::string total = "/" + std::to_string(job_.file.size);
      bool fits = range.rfind(want, 0) == 0 &&
          (range.size() > total.size() &&
           (range.substr(range.size() - total.size()) == total ||
            range.back() == '*'));
      if (!fits) {
        throw Error(
            ErrorKind::corrupt_data,
            "the Hub sends another part of '" + job_.file.path +
                "' than was asked for");
      }
    }
    std::string tag = hash_in(head);
    std::string commit = head.header("x-repo-commit");
    if ((!tag.empty() && tag.size() == job_.file.hash.size() &&
         tag != job_.file.hash) ||
        (!commit.empty() && commit != job_.commit)) {
      throw Error(
          ErrorKind::corrupt_data,
          "the Hub has another '" + job_.file.path + "' than it lists");
    }
  }

  // A chunk that came before those in front of it waits for them.
  void await_turn(Chunk& chunk) {
    flush(chunk);
    while (!chunk.buffer.empty() && !failed()) {
      client_.check_cancelled();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      flush(chunk);
    }
  }

  const Client& client_;
  const BlobJob& job_;
  std::string path_;
  Descriptor file_;
  std::mutex mutex_; // of all below
  BlobHash hash_;
  uint64_t written_ = 0;
  uint64_t next_ = 0; // first byte that no connection fetches
  bool resumed_ = false;
  std::exception_ptr error_;
};

bool is_there(const std::string& path, uint64_t size) {
  std::error_code error;
  return fs::is_regular_file(path, error) && fs::file_size(path, error) == size;
}

} // namespace

std::string hash_in(const HttpResponse& response) {
  std::string tag = response.header("x-linked-etag");
  if (tag.empty()) {
    tag = response.header("etag");
  }
  if (tag.rfind("W/", 0) == 0) {
    tag.erase(0, 2);
  }
  tag.erase(std::remove(tag.begin(), tag.end(), '"'), tag.end());
  return is_hash(tag) ? tag : "";
}

uint64_t blob_bytes_here(const std::string& path, uint64_t size) {
  if (is_there(path, size)) {
    return size;
  }
  std::error_code error;
  uint64_t left = fs::file_size(path + ".incomplete", error);
  return error || left > size ? 0 : left;
}

void fetch_blob(const Client& client, const BlobJob& job) {
  if (is_there(job.path, job.file.size)) {
    return;
  }
  fs::create_directories(fs::path(job.lock_path).parent_path());
  Descriptor lock_file(job.lock_path, O_RDWR | O_CREAT);
  lock(lock_file, client);
  if (is_there(job.path, job.file.size)) {
    return; // someone else fetched it meanwhile
  }
  Download download(client, job);
  download.resume();
  for (int tries = 0;; ++tries) {
    download.run();
    if (download.is_right()) {
      download.keep();
      return;
    }
    if (tries == 1) {
      download.discard();
      throw Error(
          ErrorKind::corrupt_data,
          "'" + job.file.path +
              "' came with wrong bytes twice: its hash is not " + job.file.hash,
          "try again later, or look at HF_ENDPOINT");
    }
    download.restart();
  }
}

} // namespace mlx_audio::hub
