#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace mlx_audio::hub {

/// The hash by which the Hub names a file: SHA-256 of its bytes, or git's SHA-1
/// of a blob, fed piece by piece.
class BlobHash {
 public:
  /// @param digits 64 for SHA-256, 40 for git's
  /// @param size of the file in bytes, part of git's hash
  BlobHash(size_t digits, uint64_t size);
  ~BlobHash();
  BlobHash(BlobHash&&) noexcept;
  BlobHash& operator=(BlobHash&&) noexcept;

  void update(std::string_view bytes);
  /// Lower-case hexadecimal digits; the hash takes no more bytes after that.
  std::string digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace mlx_audio::hub
