// multipart/form-data (RFC 7578) of a body that is in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlx_audio::server {

struct Part {
  std::string name;
  std::optional<std::string> file_name; ///< if it has one, never a path of ours
  std::string type; ///< content type; empty: text/plain
  std::string_view data; ///< in the body
};

class Multipart {
 public:
  /// @param content_type the header, with its boundary
  /// @param body must outlive the object
  /// @throws ApiError 415 for another type, 400 for a body that is not what the
  ///   type says
  Multipart(std::string_view content_type, std::string_view body);

  const std::vector<Part>& parts() const {
    return parts_;
  }
  /// The first part of that name.
  const Part* find(std::string_view name) const;

  // Typed fields; each throws ApiError 400 that names the field. Empty text is
  // absent, as from an HTML form.
  static constexpr size_t most_text = 16 << 10; // bytes
  std::optional<std::string> text(
      const std::string& name,
      size_t most = most_text) const;
  std::optional<double> number(const std::string& name, double low, double high)
      const;
  std::optional<int64_t>
  integer(const std::string& name, int64_t low, int64_t high) const;
  std::optional<bool> boolean(const std::string& name) const;
  /// The bytes of an upload that must be there.
  /// @param wanted for the message, e.g. "a recording"
  std::span<const uint8_t> file(
      const std::string& name,
      const std::string& wanted) const;
  /// All values of `name[]` and `name`.
  std::vector<std::string> list(std::string_view name) const;

 private:
  std::vector<Part> parts_;
};

} // namespace mlx_audio::server
