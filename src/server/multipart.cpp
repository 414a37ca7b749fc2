#include "server/multipart.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "server/json.h"

namespace mlx_audio::server {

namespace {

constexpr size_t most_parts = 256;
constexpr size_t most_header = 8 << 10; // bytes of a part's header
constexpr size_t most_number = 64; // bytes of its text

[[noreturn]] void bad(const std::string& what) {
  throw ApiError(400, "the multipart body " + what, "", "invalid_multipart");
}

template <class T>
std::optional<T> parse(const std::string& text) {
  T value = 0;
  const char* end = text.data() + text.size();
  auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end ? std::optional(value)
                                                       : std::nullopt;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return out;
}

std::string_view trim(std::string_view text) {
  auto from = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(from);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// A parameter of a header such as `form-data; name="a b"; filename=x`.
std::optional<std::string> parameter(
    std::string_view header,
    std::string_view wanted) {
  size_t at = header.find(';');
  while (at != std::string_view::npos && at < header.size()) {
    ++at;
    auto equals = header.find('=', at);
    if (equals == std::string_view::npos) {
      return {};
    }
    std::string name = lower(trim(header.substr(at, equals - at)));
    std::string value;
    at = equals + 1;
    while (at < header.size() && (header[at] == ' ' || header[at] == '\t')) {
      ++at;
    }
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        // Browsers send file names with '\' as it is and '"' as %22.
        if (header[at] == '\\' && at + 1 < header.size() &&
            (header[at + 1] == '"' || header[at + 1] == '\\')) {
          ++at;
        }
        value += header[at];
      }
      at = header.find(';', at);
    } else {
      auto end = std::min(header.find(';', at), header.size());
      value = std::string(trim(header.substr(at, end - at)));
      at = end == header.size() ? std::string_view::npos : end;
    }
    if (name == wanted) {
      return value;
    }
  }
  return {};
}

Part read_header(std::string_view header) {
  Part part;
  bool named = false;
  while (!header.empty()) {
    auto end = std::min(header.find("\r\n"), header.size());
    auto line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    auto colon = line.find(':');
    if (colon == std::string_view::npos) {
      bad("has a header line without a colon");
    }
    std::string name = lower(trim(line.substr(0, colon)));
    auto value = trim(line.substr(colon + 1));
    if (name == "content-disposition") {
      if (auto field = parameter(value, "name")) {
        part.name = *field;
        named = true;
      }
      part.file_name = parameter(value, "filename");
    } else if (name == "content-type") {
      part.type = lower(value);
    } else if (name == "content-transfer-encoding") {
      auto encoding = lower(value);
      if (encoding != "binary" && encoding != "8bit" && encoding != "7bit") {
        bad("has a part in transfer encoding '" + encoding.substr(0, 40) +
            "', which HTTP has not");
      }
    }
  }
  if (!named) {
    bad("has a part without a name");
  }
  return part;
}

} // namespace

Multipart::Multipart(std::string_view content_type, std::string_view body) {
  if (lower(content_type.substr(0, content_type.find(';'))) !=
      "multipart/form-data") {
    throw ApiError(
        415,
        "send the request as multipart/form-data, not as '" +
            std::string(content_type.substr(0, 100)) + "'");
  }
  auto boundary = parameter(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > 70) {
    bad("has no boundary in its content type");
  }
  std::string mark = "--" + *boundary;
  size_t at = 0;
  if (body.substr(0, mark.size()) != mark) {
    at = body.find("\r\n" + mark);
    if (at == std::string_view::npos) {
      bad("does not hold its boundary");
    }
    at += 2;
  }
  std::string next = "\r\n" + mark;
  for (;;) {
    at += mark.size();
    if (body.substr(at, 2) == "--") {
      return;
    }
    at = std::min(body.find_first_not_of(" \t", at), body.size());
    if (body.substr(at, 2) != "\r\n") {
      bad("is cut off or has a damaged boundary");
    }
    at += 2;
    size_t blank =
        body.substr(at, 2) == "\r\n" ? at : body.find("\r\n\r\n", at);
    if (blank == std::string_view::npos || blank - at > most_header) {
      bad("has a part without an end of its header");
    }
    bool empty = blank == at;
    Part part = read_header(body.substr(at, blank - at));
    at = blank + (empty ? 2 : 4);
    // An empty part's boundary follows at once.
    size_t end = body.find(next, at >= 2 ? at - 2 : at);
    if (end == std::string_view::npos) {
      bad("is cut off");
    }
    part.data = end < at ? std::string_view() : body.substr(at, end - at);
    parts_.push_back(std::move(part));
    if (parts_.size() > most_parts) {
      bad("has more than " + std::to_string(most_parts) + " parts");
    }
    at = end + 2;
  }
}

const Part* Multipart::find(std::string_view name) const {
  for (const auto& part : parts_) {
    if (part.name == name) {
      return &part;
    }
  }
  return nullptr;
}

std::optional<std::string> Multipart::text(
    const std::string& name,
    size_t most /* = most_text */) const {
  const Part* part = find(name);
  if (part == nullptr || part->data.empty()) {
    return {};
  }
  check_text(name, part->data, most);
  return std::string(part->data);
}

std::optional<double>
Multipart::number(const std::string& name, double low, double high) const {
  auto value = text(name, most_number);
  if (!value) {
    return {};
  }
  auto parsed = parse<double>(*value);
  if (!parsed || !(*parsed >= low && *parsed <= high)) {
    invalid_value(name, "must be a number, " + range(low, high));
  }
  return parsed;
}

std::optional<int64_t>
Multipart::integer(const std::string& name, int64_t low, int64_t high) const {
  auto value = text(name, most_number);
  if (!value) {
    return {};
  }
  auto parsed = parse<int64_t>(*value);
  if (!parsed || *parsed < low || *parsed > high) {
    invalid_value(name, "must be a whole number, " + range(low, high));
  }
  return parsed;
}

std::optional<bool> Multipart::boolean(const std::string& name) const {
  auto value = text(name, most_number);
  if (!value || *value == "null") {
    return {};
  }
  if (*value == "true" || *value == "True" || *value == "1") {
    return true;
  }
  if (*value == "false" || *value == "False" || *value == "0") {
    return false;
  }
  invalid_value(name, "must be true or false");
}

std::span<const uint8_t> Multipart::file(
    const std::string& name,
    const std::string& wanted) const {
  const Part* part = find(name);
  if (part == nullptr) {
    missing_field(name, ": upload " + wanted);
  }
  if (!part->file_name) {
    invalid_value(name, "must be an uploaded file, not text");
  }
  if (part->data.empty()) {
    invalid_value(name, "is empty");
  }
  return {
      reinterpret_cast<const uint8_t*>(part->data.data()), part->data.size()};
}

std::vector<std::string> Multipart::list(std::string_view name) const {
  std::vector<std::string> values;
  std::string bracketed = std::string(name) + "[]";
  for (const auto& part : parts_) {
    if (part.name == name || part.name == bracketed) {
      values.emplace_back(part.data);
    }
  }
  return values;
}

} // namespace mlx_audio::server
