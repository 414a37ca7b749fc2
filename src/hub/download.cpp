#include "hub/download.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "hub/blob.h"
#include "hub/cache.h"
#include "hub/client.h"
#include "hub/listing.h"
#include "hub/store.h"
#include "mlx_audio/error.h"

namespace mlx_audio::hub {

namespace {

namespace fs = std::filesystem;

// Files below this size come one a connection, larger ones over all of them.
constexpr uint64_t small_file = uint64_t{16} << 20;

// Sums up what all threads receive and passes it on, at most ten times a
// second.
class Meter {
 public:
  Meter(const PullOptions& options) : options_(options) {}

  void expect(uint64_t received, uint64_t total) {
    std::lock_guard guard(mutex_);
    now_.received_bytes = received;
    now_.total_bytes = total;
    tell(true);
  }
  void add(const std::string& file, int64_t bytes) {
    std::lock_guard guard(mutex_);
    now_.file = file;
    now_.received_bytes += static_cast<uint64_t>(bytes);
    tell(now_.received_bytes == now_.total_bytes);
  }
  void wait(double seconds) {
    std::lock_guard guard(mutex_);
    now_.waiting_seconds = seconds;
    tell(true);
  }

 private:
  void tell(bool always) {
    auto time = std::chrono::steady_clock::now();
    if (options_.progress &&
        (always || time - last_ > std::chrono::milliseconds(100))) {
      last_ = time;
      options_.progress(now_);
    }
  }

  const PullOptions& options_;
  std::mutex mutex_;
  PullProgress now_;
  std::chrono::steady_clock::time_point last_;
};

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(
        ErrorKind::io,
        "cannot make the folder '" + folder.string() + "': " + error.message(),
        "HF_HUB_CACHE names another place for models");
  }
}

class Pull {
 public:
  Pull(const std::string& repo, const PullOptions& options)
      : options_(options),
        revision_(options.revision.empty() ? "main" : options.revision),
        meter_(options),
        client_(
            repo,
            options.cancelled,
            [this](double seconds) { meter_.wait(seconds); }),
        repo_(repo),
        folder_(repo_folder(repo)) {}

  std::string run() {
    list();
    make_folder(folder_ / "blobs");
    check_space();
    fetch();
    fs::path snapshot = folder_ / "snapshots" / listing_.commit;
    // The config comes last: a folder without it is not taken for a model.
    std::stable_partition(files_.begin(), files_.end(), [](const auto& file) {
      return file.path != "config.json";
    });
    for (const auto& file : files_) {
      link(snapshot, file);
    }
    note_revision();
    return snapshot.string();
  }

 private:
  void list() {
    listing_ = fetch_listing(client_, repo_, revision_);
    files_ = options_.all_files ? listing_.files : needed_files(listing_.files);
    if (files_.empty()) {
      throw Error(
          ErrorKind::not_found, "'" + repo_ + "' holds no files of a model");
    }
    for (auto& file : files_) {
      if (file.hash.empty()) {
        look_up(file);
      }
    }
  }

  // The hash and size of a file that the listing says nothing of.
  void look_up(RepoFile& file) const {
    HttpRequest request;
    request.url = url_of(file);
    request.method = "HEAD";
    request.headers = {"Accept-Encoding: identity"};
    HttpResponse response = client_.request(request);
    file.hash = hash_in(response);
    std::string size = response.header("x-linked-size");
    if (size.empty()) {
      size = response.header("content-length");
    }
    if (file.hash.empty() || size.empty() || size.size() > 15 ||
        size.find_first_not_of("0123456789") != std::string::npos) {
      throw Error(
          ErrorKind::corrupt_data,
          "the Hub names no size and hash of '" + file.path + "'");
    }
    file.size = std::stoull(size);
  }

  std::string url_of(const RepoFile& file) const {
    return client_.endpoint() + "/" + repo_ + "/resolve/" + listing_.commit +
        "/" + url_encode(file.path, "/");
  }

  fs::path blob_of(const RepoFile& file) const {
    return folder_ / "blobs" / file.hash;
  }

  void check_space() {
    uint64_t total = 0;
    uint64_t here = 0;
    for (const auto& file : files_) {
      total += file.size;
      here += blob_bytes_here(blob_of(file).string(), file.size);
    }
    std::error_code error;
    auto space = fs::space(folder_, error);
    if (!error && space.available < total - here) {
      throw Error(
          ErrorKind::io,
          "'" + repo_ + "' needs " + std::to_string(total - here) +
              " bytes more, the disk has " + std::to_string(space.available),
          "free some space, or name another disk in HF_HUB_CACHE");
    }
    meter_.expect(here, total);
  }

  void fetch(const RepoFile& file, int connections) {
    BlobJob job;
    job.file = file;
    job.commit = listing_.commit;
    job.url = url_of(file);
    job.path = blob_of(file).string();
    job.lock_path = (fs::path(cache_folder()) / ".locks" / folder_.filename() /
                     (file.hash + ".lock"))
                        .string();
    job.connections = connections;
    job.received = [&](int64_t bytes) { meter_.add(file.path, bytes); };
    fetch_blob(client_, job);
  }

  void fetch() {
    std::vector<const RepoFile*> small;
    std::vector<const RepoFile*> large;
    std::set<std::string> seen; // two files may be one blob
    for (const auto& file : files_) {
      if (seen.insert(file.hash).second) {
        (file.size < small_file ? small : large).push_back(&file);
      }
    }
    int connections = std::clamp(options_.connections, 1, 16);
    std::atomic<size_t> next{0};
    std::exception_ptr error;
    std::mutex mutex;
    auto work = [&] {
      for (size_t i = next++; i < small.size(); i = next++) {
        try {
          fetch(*small[i], 1);
        } catch (...) {
          std::lock_guard guard(mutex);
          error = error ? error : std::current_exception();
          next = small.size();
        }
      }
    };
    std::vector<std::thread> threads;
    for (int i = 1; i < connections && i < static_cast<int>(small.size());
         ++i) {
      threads.emplace_back(work);
    }
    work();
    for (auto& thread : threads) {
      thread.join();
    }
    if (error) {
      std::rethrow_exception(error);
    }
    for (const RepoFile* file : large) {
      fetch(*file, connections);
    }
  }

  // snapshots/COMMIT/a/b.json -> ../../../../blobs/HASH
  static void link(const fs::path& snapshot, const RepoFile& file) {
    make_folder(snapshot);
    fs::path target = "../../blobs";
    fs::path folder = snapshot;
    fs::path relative(file.path);
    for (const auto& part : relative.parent_path()) {
      folder /= part;
      target = ".." / target;
      std::error_code error;
      auto status = fs::symlink_status(folder, error);
      if (fs::exists(status) && !fs::is_directory(status)) {
        throw Error(
            ErrorKind::io,
            "'" + folder.string() + "' is in the way of a folder",
            "remove it");
      }
    }
    make_folder(folder);
    target /= file.hash;
    fs::path path = snapshot / relative;
    std::error_code error;
    if (fs::is_symlink(path) && fs::read_symlink(path, error) == target) {
      return;
    }
    fs::path beside = path.string() + ".link-" + std::to_string(::getpid());
    fs::remove(beside, error);
    fs::create_symlink(target, beside, error);
    if (!error) {
      fs::rename(beside, path, error);
    }
    if (error) {
      throw Error(
          ErrorKind::io,
          "cannot link '" + path.string() + "': " + error.message());
    }
  }

  void note_revision() const {
    if (revision_ == listing_.commit) {
      return;
    }
    fs::path ref = folder_ / "refs" / revision_;
    make_folder(ref.parent_path());
    fs::path beside = ref.string() + ".part-" + std::to_string(::getpid());
    std::ofstream out(beside);
    out << listing_.commit;
    out.close();
    std::error_code error;
    fs::rename(beside, ref, error);
    if (!out || error) {
      throw Error(ErrorKind::io, "cannot write '" + ref.string() + "'");
    }
  }

  const PullOptions& options_;
  std::string revision_;
  Meter meter_;
  Client client_;
  std::string repo_;
  fs::path folder_;
  Listing listing_;
  std::vector<RepoFile> files_;
};

std::function<void(const PullProgress&)>& display() {
  static std::function<void(const PullProgress&)> shown;
  return shown;
}

} // namespace

std::string pull_model(const std::string& name, const PullOptions& options) {
  std::string repo = repo_of(name);
  if (!is_repo_id(repo)) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + name + "' is no name of a model on the Hub",
        "names look like mlx-community/Kokoro-82M-bf16");
  }
  if (!options.revision.empty() && !is_revision(options.revision)) {
    throw Error(
        ErrorKind::invalid_argument,
        "'" + options.revision + "' is no revision");
  }
  if (is_offline()) {
    throw Error(
        ErrorKind::unavailable,
        "'" + name + "' is not fetched: HF_HUB_OFFLINE is set",
        "unset it to use the network");
  }
  return Pull(repo, options).run();
}

void show_downloads_with(std::function<void(const PullProgress&)> progress) {
  display() = std::move(progress);
}

const std::function<void(const PullProgress&)>& download_display() {
  return display();
}

} // namespace mlx_audio::hub
