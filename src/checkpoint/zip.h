// Reading of zip archives (PKWARE APPNOTE 6.3.10), also above 4 GB: what
// PyTorch and NumPy keep their tensors in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/file.h"
#include "checkpoint/tensor.h"

namespace mlx_audio::checkpoint {

struct ZipEntry {
  std::string name;
  bool deflated = false; ///< else stored as it is
  uint32_t crc = 0;
  uint64_t size = 0; ///< bytes after inflating
  uint64_t packed = 0; ///< bytes in the file
  uint64_t offset = 0; ///< of those in the file
};

class ZipFile {
 public:
  /// Reads the directory: at most 100,000 entries with names of at most 4096
  /// bytes, which lie in the file, do not overlap and claim no more than
  /// deflate can give. corrupt_data otherwise, unsupported for encryption and
  /// other methods than stored and deflate.
  explicit ZipFile(std::shared_ptr<const File> file);

  const std::vector<ZipEntry>& entries() const {
    return entries_;
  }
  const ZipEntry* find(std::string_view name) const;

  /// The whole entry, its checksum proven; too_large above `limit` bytes.
  Bytes read(const ZipEntry& entry, uint64_t limit) const;
  /// At most the first `size` bytes.
  Bytes read_front(const ZipEntry& entry, uint64_t size) const;
  /// A part of a stored entry.
  void read_at(const ZipEntry& entry, uint64_t offset, std::span<std::byte> out)
      const;

  const std::string& path() const {
    return file_->path();
  }

 private:
  Bytes inflate(const ZipEntry& entry, uint64_t size) const;

  std::shared_ptr<const File> file_;
  std::vector<ZipEntry> entries_;
};

} // namespace mlx_audio::checkpoint
