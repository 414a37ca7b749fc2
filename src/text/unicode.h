// Small UTF-8 and character-class helpers over ICU, and the check that every
// text of a user passes before anything else reads it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mlx_audio::text {

/// Decodes one code point at `pos` and moves `pos` behind it. Returns a
/// negative value for a malformed sequence, whose first byte `pos` then skips.
char32_t decode_utf8(std::string_view text, size_t& pos);
inline constexpr char32_t kBadUtf8 = 0xffffffff;

void append_utf8(std::string& out, char32_t c);
std::string to_utf8(std::u32string_view text);
std::u32string to_u32(std::string_view utf8); ///< malformed bytes: U+FFFD

bool is_alpha(char32_t c); ///< any letter
bool is_digit(char32_t c); ///< digits of any script, and superscripts
/// The ASCII digit of a character that is_digit().
char32_t digit_value(char32_t c);
bool is_upper(char32_t c);
bool is_space(char32_t c);
inline bool is_ascii_digit(char32_t c) {
  return c >= '0' && c <= '9';
}
char32_t to_lower(char32_t c);
std::u32string to_lower(std::u32string_view text);
std::u32string to_upper(std::u32string_view text);
/// First letter upper case, the others lower case.
std::u32string capitalized(std::u32string_view text);
/// Compatibility composition: full-width forms, ligatures, fractions.
std::u32string nfkc(std::u32string_view text);

/// Number of Unicode code points in valid UTF-8.
size_t count_code_points(std::string_view utf8);

/// Refuses what no text should hold: malformed UTF-8, NUL and other control
/// characters (line feed, carriage return, tab and a byte order mark at the
/// start are harmless), noncharacters.
/// @param base offset of `text` in the whole source, for the message.
/// @throws Error invalid_argument naming the byte offset.
void check_text(std::string_view text, size_t base = 0);

/// True if the text holds nothing that could be spoken: white space and
/// invisible characters only.
bool is_blank(std::string_view utf8);

} // namespace mlx_audio::text
