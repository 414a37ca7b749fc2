// Where foreign bytes come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlx_audio::audio {

class ByteSource {
 public:
  explicit ByteSource(std::string name) : name_(std::move(name)) {}
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// For messages: a quoted path, "standard input" or "the audio data".
  const std::string& name() const {
    return name_;
  }
  /// Up to out.size() bytes, what is there now; 0 is the end. Throws io.
  size_t read(std::span<uint8_t> out);
  /// Reads until `out` is full or the source ends.
  size_t read_full(std::span<uint8_t> out);
  /// The next bytes, at most `n`, without taking them. Only at the start.
  std::span<const uint8_t> peek(size_t n);

  uint64_t position() const {
    return position_;
  }
  /// Known means that seek() works.
  std::optional<uint64_t> size() const {
    return size_;
  }
  void seek(uint64_t position);

 protected:
  virtual size_t do_read(std::span<uint8_t> out) = 0;
  virtual void do_seek(uint64_t /*position*/) {}
  std::optional<uint64_t> size_;

 private:
  std::string name_;
  uint64_t position_ = 0; // of read(), not of what lies below
  std::vector<uint8_t> peeked_; // the first bytes
  uint64_t below_ = 0; // bytes taken from below
};

/// "-" is standard input. Throws not_found or io.
std::unique_ptr<ByteSource> open_source(const std::string& path);
std::unique_ptr<ByteSource> memory_source(std::span<const uint8_t> bytes);
/// All bytes of a pipe in an unnamed temporary file, so that it can be sought.
/// Throws too_large beyond max_bytes.
std::unique_ptr<ByteSource> spool(ByteSource& pipe, size_t max_bytes);

} // namespace mlx_audio::audio
