// English number words, worded as the Python package num2words words them,
// because misaki's rules were written on its output.
#pragma once

#include <string>
#include <string_view>

namespace mlx_audio::text {

/// "1234" -> "one thousand, two hundred and thirty-four". Any number of digits;
/// above 10^66 digit by digit.
std::string cardinal(std::string_view digits);
/// "21" -> "twenty-first"
std::string ordinal(std::string_view digits);
/// "1984" -> "nineteen eighty-four", "1905" -> "nineteen oh-five"; at most four
/// digits.
std::string year(std::string_view digits);
/// "3.14" -> "three point one four"; a zero fraction is left out.
std::string decimal(std::string_view whole, std::string_view fraction);

/// A number as misaki's rules know it: digits, commas, points, one leading
/// minus if `is_head`, and an ending such as "th", "s" or "ing".
bool is_number(std::u32string_view word, bool is_head);

/// "dollar" for '$'; empty for a sign without a name.
std::u32string_view currency_unit(char32_t sign);
/// "cent" for '$'.
std::u32string_view currency_subunit(char32_t sign);

} // namespace mlx_audio::text
