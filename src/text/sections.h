// One file of named, 64-byte aligned blocks of bytes that is mapped into memory
// and read in place: loading costs a map and a bounds check per block.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mlx_audio::text {

class SectionFile {
 public:
  /// @throws Error not_found or corrupt_data.
  explicit SectionFile(const std::string& path);
  ~SectionFile();
  SectionFile(const SectionFile&) = delete;
  SectionFile& operator=(const SectionFile&) = delete;

  const std::string& path() const {
    return path_;
  }
  /// @throws Error corrupt_data if there is no such block.
  std::string_view bytes(const std::string& name) const;
  /// The block as numbers. @throws Error corrupt_data for a ragged size or,
  /// with `count`, another number of them.
  std::span<const float> floats(const std::string& name, size_t count = 0)
      const;
  std::span<const uint32_t> u32s(const std::string& name) const;
  std::span<const uint64_t> u64s(const std::string& name) const;

 private:
  template <typename T>
  std::span<const T> numbers(const std::string& name, size_t count) const;

  std::string path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
  std::map<std::string, std::string_view> blocks_;
};

/// Writes beside `path`, then renames. @throws Error io.
void write_sections(
    const std::string& path,
    const std::map<std::string, std::string>& blocks);

/// Sorted string keys with string values inside a SectionFile: blocks
/// "<name>.index" and "<name>.blob".
class StringTable {
 public:
  StringTable() = default;
  StringTable(const SectionFile& file, const std::string& name);
  /// Value of the key, or nullptr data if there is none.
  std::string_view find(std::string_view key) const;
  size_t size() const {
    return index_.empty() ? 0 : index_.size() - 1;
  }
  std::pair<std::string_view, std::string_view> entry(size_t i) const;

  static void add(
      std::map<std::string, std::string>& blocks,
      const std::string& name,
      const std::map<std::string, std::string>& entries);

 private:
  std::span<const uint32_t> index_;
  std::string_view blob_;
};

} // namespace mlx_audio::text
