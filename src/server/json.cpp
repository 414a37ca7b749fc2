#include "server/json.h"

#include <cmath>

namespace mlx_audio::server {

namespace {

constexpr int max_depth = 32;

} // namespace

std::string range(const Json& low, const Json& high) {
  return dump(low) + " to " + dump(high);
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json parse_object(std::string_view body) {
  bool too_deep = false;
  auto watch = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > max_depth;
    return !too_deep;
  };
  // Depth is bounded before the recursive destructor of a value could be.
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < body.size(); ++i) {
    char c = body[i];
    if (quoted) {
      i += c == '\\' ? 1 : 0;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) {
        throw ApiError(400, "the JSON body is nested too deeply");
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  Json value = Json::parse(body, watch, /* allow_exceptions */ false);
  if (value.is_discarded()) {
    throw ApiError(400, "the body is not valid JSON", "", "invalid_json");
  }
  if (!value.is_object()) {
    throw ApiError(400, "the body must be a JSON object", "", "invalid_json");
  }
  return value;
}

const Json* Fields::find(const char* name) const {
  auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json* Fields::find_any(std::initializer_list<const char*> names) const {
  for (const char* name : names) {
    if (const Json* value = find(name)) {
      return value;
    }
  }
  return nullptr;
}

std::optional<std::string> Fields::text(const char* name, size_t most) const {
  const Json* value = find(name);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_string()) {
    invalid_value(name, "must be a string");
  }
  const auto& text = value->get_ref<const std::string&>();
  check_text(name, text, most);
  return text;
}

std::optional<double> Fields::number(const char* name, double low, double high)
    const {
  const Json* value = find(name);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_number() || !std::isfinite(value->get<double>()) ||
      value->get<double>() < low || value->get<double>() > high) {
    invalid_value(name, "must be a number, " + range(low, high));
  }
  return value->get<double>();
}

std::optional<int64_t>
Fields::integer(const char* name, int64_t low, int64_t high) const {
  const Json* value = find(name);
  if (value == nullptr) {
    return {};
  }
  bool fits = value->is_number_integer() &&
      !(value->is_number_unsigned() &&
        value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) &&
      value->get<int64_t>() >= low && value->get<int64_t>() <= high;
  if (!fits) {
    invalid_value(name, "must be a whole number, " + range(low, high));
  }
  return value->get<int64_t>();
}

std::optional<bool> Fields::boolean(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_boolean()) {
    invalid_value(name, "must be true or false");
  }
  return value->get<bool>();
}

} // namespace mlx_audio::server
