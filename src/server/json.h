// JSON in and out of requests: fields are checked one by one, and what is wrong
// is named.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "server/api_error.h"

namespace mlx_audio::server {

using Json = nlohmann::ordered_json;

/// Text that is no UTF-8 is written with U+FFFD, never an exception.
std::string dump(const Json& value);

/// "0 to 1", for messages.
std::string range(const Json& low, const Json& high);

/// A request's body. @throws ApiError 400 for anything but an object of
/// moderate depth.
Json parse_object(std::string_view body);

/// Typed fields of an object; null is absent. Each throws ApiError 400 that
/// names the field.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  const Json* find(const char* name) const;
  /// The first of several names of one field that is there.
  const Json* find_any(std::initializer_list<const char*> names) const;
  std::optional<std::string> text(const char* name, size_t most) const;
  std::optional<double> number(const char* name, double low, double high) const;
  std::optional<int64_t> integer(const char* name, int64_t low, int64_t high)
      const;
  std::optional<bool> boolean(const char* name) const;

 private:
  const Json& object_;
};

} // namespace mlx_audio::server
