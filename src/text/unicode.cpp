#include "text/unicode.h"

#include <cstdio>

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "mlx_audio/error.h"

namespace mlx_audio::text {

namespace {

icu::UnicodeString to_icu(std::u32string_view text) {
  return icu::UnicodeString::fromUTF32(
      reinterpret_cast<const UChar32*>(text.data()),
      static_cast<int32_t>(text.size()));
}

std::u32string from_icu(const icu::UnicodeString& text) {
  std::u32string out;
  out.reserve(static_cast<size_t>(text.length()));
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    out.push_back(static_cast<char32_t>(text.char32At(i)));
  }
  return out;
}

bool all_ascii(std::u32string_view text) {
  for (char32_t c : text) {
    if (c >= 0x80) {
      return false;
    }
  }
  return true;
}

} // namespace

char32_t decode_utf8(std::string_view text, size_t& pos) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = at(pos);
  if (lead < 0x80) {
    ++pos;
    return lead;
  }
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  char32_t c = lead & (0x7fu >> length);
  if (lead < 0xc2 || lead > 0xf4 || pos + length > text.size()) {
    ++pos;
    return kBadUtf8;
  }
  for (size_t i = 1; i < length; ++i) {
    unsigned char next = at(pos + i);
    if ((next & 0xc0) != 0x80) {
      ++pos;
      return kBadUtf8;
    }
    c = (c << 6) | (next & 0x3fu);
  }
  bool overlong = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
  if (overlong || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff) {
    ++pos;
    return kBadUtf8;
  }
  pos += length;
  return c;
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xc0 | (c >> 6)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | (c >> 12)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | (c >> 18)));
    out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (char32_t c : text) {
    append_utf8(out, c);
  }
  return out;
}

std::u32string to_u32(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  for (size_t pos = 0; pos < utf8.size();) {
    char32_t c = decode_utf8(utf8, pos);
    out.push_back(c == kBadUtf8 ? U'\ufffd' : c);
  }
  return out;
}

bool is_alpha(char32_t c) {
  if (c < 0x80) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
  }
  return u_isalpha(static_cast<UChar32>(c));
}

bool is_digit(char32_t c) {
  if (c < 0x80) {
    return is_ascii_digit(c);
  }
  auto type =
      u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

char32_t digit_value(char32_t c) {
  double value = u_getNumericValue(static_cast<UChar32>(c));
  return value >= 0 && value <= 9 ? U'0' + static_cast<char32_t>(value) : c;
}

bool is_upper(char32_t c) {
  if (c < 0x80) {
    return c >= 'A' && c <= 'Z';
  }
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_UPPERCASE);
}

bool is_space(char32_t c) {
  if (c < 0x80) {
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31);
  }
  return u_isUWhiteSpace(static_cast<UChar32>(c));
}

char32_t to_lower(char32_t c) {
  if (c < 0x80) {
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
  }
  return static_cast<char32_t>(u_tolower(static_cast<UChar32>(c)));
}

std::u32string to_lower(std::u32string_view text) {
  if (all_ascii(text)) {
    std::u32string out(text);
    for (char32_t& c : out) {
      c = to_lower(c);
    }
    return out;
  }
  return from_icu(to_icu(text).toLower(icu::Locale::getRoot()));
}

std::u32string to_upper(std::u32string_view text) {
  if (all_ascii(text)) {
    std::u32string out(text);
    for (char32_t& c : out) {
      c = c >= 'a' && c <= 'z' ? c & ~0x20u : c;
    }
    return out;
  }
  return from_icu(to_icu(text).toUpper(icu::Locale::getRoot()));
}

std::u32string capitalized(std::u32string_view text) {
  if (text.empty()) {
    return {};
  }
  return to_upper(text.substr(0, 1)) + to_lower(text.substr(1));
}

std::u32string nfkc(std::u32string_view text) {
  if (all_ascii(text)) {
    return std::u32string(text);
  }
  UErrorCode status = U_ZERO_ERROR;
  const auto* normalizer = icu::Normalizer2::getNFKCInstance(status);
  if (U_FAILURE(status)) {
    return std::u32string(text);
  }
  auto result = normalizer->normalize(to_icu(text), status);
  return U_FAILURE(status) ? std::u32string(text) : from_icu(result);
}

size_t count_code_points(std::string_view utf8) {
  size_t n = 0;
  for (char c : utf8) {
    n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }
  return n;
}

void check_text(std::string_view text, size_t base) {
  for (size_t pos = 0; pos < text.size();) {
    size_t at = pos;
    char32_t c = decode_utf8(text, pos);
    char message[96];
    if (c == kBadUtf8) {
      std::snprintf(
          message,
          sizeof message,
          "text is not valid UTF-8 at byte %zu (0x%02x)",
          base + at,
          static_cast<unsigned char>(text[at]));
      throw Error(
          ErrorKind::invalid_argument, message, "convert the text to UTF-8");
    }
    bool control = (c < 0x20 && c != '\n' && c != '\r' && c != '\t') ||
        (c >= 0x7f && c < 0xa0 && c != 0x85);
    bool nonchar = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
    if (control || nonchar) {
      std::snprintf(
          message,
          sizeof message,
          "text holds the %s U+%04X at byte %zu",
          control ? "control character" : "noncharacter",
          static_cast<unsigned>(c),
          base + at);
      throw Error(
          ErrorKind::invalid_argument,
          message,
          "remove it; only line feed, carriage return and tab are allowed");
    }
  }
}

bool is_blank(std::string_view utf8) {
  for (size_t pos = 0; pos < utf8.size();) {
    char32_t c = decode_utf8(utf8, pos);
    if (c == kBadUtf8) {
      return false;
    }
    if (!is_space(c) && u_charType(static_cast<UChar32>(c)) != U_FORMAT_CHAR) {
      return false;
    }
  }
  return true;
}

} // namespace mlx_audio::text
