// What a client is told when something is wrong, in OpenAI's shape:
// {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "mlx_audio/error.h"

namespace mlx_audio::server {

class ApiError : public std::runtime_error {
 public:
  /// @param param the field that is wrong; empty: none.
  /// @param code a word for programs; empty: none.
  ApiError(
      int status,
      const std::string& message,
      std::string param = "",
      std::string code = "");
  /// The library's error by its kind.
  explicit ApiError(const Error& error, std::string param = "");

  int status() const {
    return status_;
  }
  const std::string& param() const {
    return param_;
  }
  /// The error object as JSON, with a line end.
  std::string body() const;
  /// The same without the outer braces' line end, for streams.
  std::string event() const;

 private:
  int status_;
  std::string param_;
  std::string code_;
};

/// 400: "'field' what".
[[noreturn]] void invalid_value(
    const std::string& field,
    const std::string& what);

/// 400: a field that must be there is not.
/// @param advice behind the message: ": upload a recording".
[[noreturn]] void missing_field(
    const std::string& field,
    const std::string& advice = "");

/// Text of a request. @throws ApiError 400 if it has more than `most` bytes or
/// a zero character.
void check_text(const std::string& field, std::string_view text, size_t most);

} // namespace mlx_audio::server
