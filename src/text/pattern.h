// A compiled regular expression (PCRE2, UTF-8, Unicode classes, bounded work).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace mlx_audio::text {

class Pattern {
 public:
  /// @param name for the message. @throws Error corrupt_data
  Pattern(std::string_view source, const std::string& name);
  ~Pattern();
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  /// First match at or behind `from`, as {begin, end}; {npos, npos} if there is
  /// none or the search would cost too much. `text` must be valid UTF-8.
  std::pair<size_t, size_t> search(std::string_view text, size_t from = 0);

  /// Length of the first match, 0 if none.
  size_t length(std::string_view text);

 private:
  void* code_;
  void* data_;
  void* context_;
};

} // namespace mlx_audio::text
