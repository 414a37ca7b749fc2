#include "server/base64.h"

#include <array>

#include "server/api_error.h"

namespace mlx_audio::server {

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> values = [] {
  std::array<int8_t, 256> table = {};
  table.fill(-1);
  for (size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  }
  table['-'] = 62;
  table['_'] = 63;
  return table;
}();

} // namespace

std::string to_base64(std::span<const uint8_t> bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) {
      word = word << 8 | (k < count ? bytes[i + k] : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= count ? alphabet[word >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::vector<uint8_t> from_base64(
    std::string_view text,
    const std::string& field) {
  auto wrong = [&](const std::string& what) {
    throw ApiError(400, "'" + field + "' " + what, field, "invalid_base64");
  };
  if (text.substr(0, 5) == "data:") {
    auto comma = text.find(',');
    if (comma == std::string_view::npos ||
        text.substr(0, comma).find(";base64") == std::string_view::npos) {
      wrong("is a data URL without base64");
    }
    text.remove_prefix(comma + 1);
  }
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  uint32_t word = 0;
  int bits = 0;
  bool padded = false;
  for (char c : text) {
    if (c == '\n' || c == '\r' || c == ' ') {
      continue;
    }
    if (c == '=') {
      padded = true;
      continue;
    }
    int value = values[static_cast<unsigned char>(c)];
    if (value < 0 || padded) {
      wrong(
          "must be base64 or a data URL; the server reads no paths and no "
          "other URLs");
    }
    word = word << 6 | static_cast<uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes.push_back(static_cast<uint8_t>(word >> bits & 255));
    }
  }
  if (bits == 6) {
    wrong("is base64 that is cut off");
  }
  return bytes;
}

} // namespace mlx_audio::server
