// A file open for reading: mapped into memory for parsers and loaders, and
// readable by position, which leaves no pages in the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace mlx_audio::checkpoint {

class File {
 public:
  /// Opens and maps the file at `path`; not_found or io if it cannot be.
  static std::shared_ptr<const File> open(const std::string& path);
  /// Bytes that lie in memory already (tests, fuzzing); they must outlive it.
  static std::shared_ptr<const File> from_memory(
      std::span<const std::byte> bytes,
      std::string name);

  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const {
    return path_;
  }
  uint64_t size() const {
    return data_.size();
  }
  /// All bytes, mapped read-only; valid as long as the File lives.
  std::span<const std::byte> data() const {
    return data_;
  }
  /// Copies `out.size()` bytes from `offset`; corrupt_data if the file ends
  /// before that.
  void read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  File() = default;

  std::string path_;
  std::span<const std::byte> data_;
  int fd_ = -1;
  bool mapped_ = false;
};

} // namespace mlx_audio::checkpoint
