#include "text/english_numbers.h"

#include <algorithm>
#include <array>
#include <vector>

#include "text/english_lexicon.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

constexpr std::array kOnes = {"zero",    "one",       "two",      "three",
                              "four",    "five",      "six",      "seven",
                              "eight",   "nine",      "ten",      "eleven",
                              "twelve",  "thirteen",  "fourteen", "fifteen",
                              "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array kTens = {
    "",
    "",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety"};
constexpr std::array kThousands = {
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
    "undecillion",
    "duodecillion",
    "tredecillion",
    "quattuordecillion",
    "quindecillion",
    "sexdecillion",
    "septdecillion",
    "octodecillion",
    "novemdecillion",
    "vigintillion"};

std::string below_hundred(unsigned n) {
  if (n < 20) {
    return kOnes[n];
  }
  std::string out = kTens[n / 10];
  return n % 10 == 0 ? out : out + "-" + kOnes[n % 10];
}

std::string below_thousand(unsigned n) {
  if (n < 100) {
    return below_hundred(n);
  }
  std::string out = std::string(kOnes[n / 100]) + " hundred";
  return n % 100 == 0 ? out : out + " and " + below_hundred(n % 100);
}

std::string one_by_one(std::string_view digits) {
  std::string out;
  for (char c : digits) {
    out += out.empty() ? "" : " ";
    out += kOnes[static_cast<size_t>(c - '0')];
  }
  return out;
}

unsigned small_number(std::string_view digits) {
  unsigned n = 0;
  for (char c : digits) {
    n = 10 * n + static_cast<unsigned>(c - '0');
  }
  return n;
}

struct Currency {
  char32_t sign;
  std::u32string_view unit, subunit;
};
constexpr Currency kCurrencies[] = {
    {U'$', U"dollar", U"cent"},
    {U'£', U"pound", U"pence"},
    {U'€', U"euro", U"cent"},
};

bool digits_only(std::u32string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_ascii_digit);
}

std::string ascii(std::u32string_view text) {
  return std::string(text.begin(), text.end());
}

std::u32string remove_commas(std::u32string_view text) {
  std::u32string out(text);
  out.erase(std::remove(out.begin(), out.end(), U','), out.end());
  return out;
}

std::vector<std::u32string> split_points(std::u32string_view text) {
  std::vector<std::u32string> out(1);
  for (char32_t c : text) {
    if (c == U'.') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

} // namespace

std::string cardinal(std::string_view digits) {
  size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
  digits.remove_prefix(zeros);
  if (digits.empty()) {
    return kOnes[0];
  }
  if (digits.size() > 3 * kThousands.size()) {
    return one_by_one(digits);
  }
  std::string out;
  size_t group = (digits.size() + 2) / 3;
  while (group > 0) {
    --group;
    size_t length = digits.size() - 3 * group;
    unsigned n = small_number(digits.substr(0, length));
    digits.remove_prefix(length);
    if (n == 0) {
      continue;
    }
    if (!out.empty()) {
      out += group == 0 && n < 100 ? " and " : ", ";
    }
    out += below_thousand(n);
    if (group > 0) {
      out += std::string(" ") + kThousands[group];
    }
  }
  return out;
}

std::string ordinal(std::string_view digits) {
  std::string out = cardinal(digits);
  size_t last = out.find_last_of(" -");
  last = last == std::string::npos ? 0 : last + 1;
  std::string word = out.substr(last);
  static constexpr std::pair<std::string_view, std::string_view> kOdd[] = {
      {"one", "first"},
      {"two", "second"},
      {"three", "third"},
      {"five", "fifth"},
      {"eight", "eighth"},
      {"nine", "ninth"},
      {"twelve", "twelfth"}};
  for (auto [from, to] : kOdd) {
    if (word == from) {
      return out.substr(0, last) + std::string(to);
    }
  }
  if (out.back() == 'y') {
    out.back() = 'i';
    out += 'e';
  }
  return out + "th";
}

std::string year(std::string_view digits) {
  unsigned n = small_number(digits);
  unsigned high = n / 100;
  unsigned low = n % 100;
  if (high == 0 || (high % 10 == 0 && low < 10) || high >= 100) {
    return cardinal(digits);
  }
  std::string out = below_hundred(high) + " ";
  return out +
      (low == 0       ? "hundred"
           : low < 10 ? "oh-" + below_hundred(low)
                      : below_hundred(low));
}

std::string decimal(std::string_view whole, std::string_view fraction) {
  size_t end = fraction.find_last_not_of('0');
  fraction = fraction.substr(0, end == std::string_view::npos ? 0 : end + 1);
  std::string out = cardinal(whole);
  return fraction.empty() ? out : out + " point " + one_by_one(fraction);
}

bool is_number(std::u32string_view word, bool is_head) {
  if (std::none_of(word.begin(), word.end(), is_ascii_digit)) {
    return false;
  }
  static constexpr std::u32string_view kEndings[] = {
      U"ing", U"'d", U"ed", U"'s", U"st", U"nd", U"rd", U"th", U"s"};
  for (std::u32string_view ending : kEndings) {
    if (word.size() >= ending.size() &&
        word.substr(word.size() - ending.size()) == ending) {
      word.remove_suffix(ending.size());
      break;
    }
  }
  for (size_t i = 0; i < word.size(); ++i) {
    char32_t c = word[i];
    bool minus = c == U'-' && i == 0 && is_head;
    if (!is_ascii_digit(c) && c != U',' && c != U'.' && !minus) {
      return false;
    }
  }
  return true;
}

std::u32string_view currency_unit(char32_t sign) {
  for (const Currency& currency : kCurrencies) {
    if (currency.sign == sign) {
      return currency.unit;
    }
  }
  return {};
}

std::u32string_view currency_subunit(char32_t sign) {
  for (const Currency& currency : kCurrencies) {
    if (currency.sign == sign) {
      return currency.subunit;
    }
  }
  return {};
}

EnglishLexicon::Found EnglishLexicon::plural(std::u32string_view unit) const {
  if (unit.empty()) {
    return {};
  }
  if (unit == U"pence") {
    return lookup(unit);
  }
  std::u32string many = std::u32string(unit) + U's';
  Stem stem = stem_s(many);
  return stem ? add_s(lookup(*stem)) : Found();
}

// The branches follow misaki's Lexicon.get_number.
EnglishLexicon::Found EnglishLexicon::number(
    std::u32string word,
    char32_t currency,
    std::string_view flags,
    bool is_head) const {
  size_t tail = word.size();
  while (tail > 0 &&
         (word[tail - 1] == U'\'' ||
          (word[tail - 1] >= U'a' && word[tail - 1] <= U'z'))) {
    --tail;
  }
  std::u32string suffix = word.substr(tail);
  word.resize(tail);
  Phonemes out;
  bool failed = false;
  auto append = [&](const Found& p) {
    failed = failed || !p;
    if (p) {
      out += out.empty() ? U"" : U" ";
      out += *p;
    }
  };
  auto flag = [&](char c) { return flags.find(c) != std::string_view::npos; };
  // Words are runs of small letters; "and" is said only if asked for.
  auto say = [&](std::string_view words, bool first = true) {
    bool several = words.find_first_of(" -,") != std::string_view::npos;
    for (size_t i = 0, at = 0; at < words.size(); ++i) {
      size_t end = std::min(words.find_first_of(" -,", at), words.size());
      std::string_view w = words.substr(at, end - at);
      at = std::min(words.find_first_not_of(" -,", end), words.size());
      if (w != "and" || flag('&')) {
        if (first && i == 0 && several && w == "one" && flag('a')) {
          append(U"ə");
        } else {
          Stress stress = w == "point" ? Stress(-2) : Stress();
          append(lookup(to_u32(w), {}, stress, nullptr));
        }
      } else if (flag('n') && !out.empty()) {
        out += U"ən";
      }
    }
  };
  auto say_digits = [&](std::u32string_view digits) {
    for (char32_t c : digits) {
      say(kOnes[c - U'0'], false);
    }
  };
  if (!word.empty() && word[0] == U'-') {
    append(lookup(U"minus"));
    word.erase(0, 1);
  }
  bool negative = !out.empty();
  bool ordinal_suffix =
      suffix == U"st" || suffix == U"nd" || suffix == U"rd" || suffix == U"th";
  auto points = std::count(word.begin(), word.end(), U'.');
  std::u32string_view unit = currency_unit(currency);
  std::vector<std::u32string> parts = split_points(remove_commas(word));
  bool whole_units =
      points == 0 || (points == 1 && word.size() - word.find(U'.') <= 3);
  if (digits_only(word) && ordinal_suffix) {
    say(ordinal(ascii(word)));
  } else if (
      !negative && word.size() == 4 && unit.empty() && digits_only(word)) {
    say(year(ascii(word)));
  } else if (!is_head && points == 0) {
    const std::u32string& num = parts[0];
    if (num.empty()) {
      return {};
    }
    if (num[0] == U'0' || num.size() > 3) {
      say_digits(num);
    } else if (num.size() == 3 && num.substr(1) != U"00") {
      say(kOnes[num[0] - U'0']);
      if (num[1] == U'0') {
        append(lookup(U"O", {}, -2, nullptr));
        say(kOnes[num[2] - U'0'], false);
      } else {
        say(cardinal(ascii(num.substr(1))), false);
      }
    } else {
      say(cardinal(ascii(num)));
    }
  } else if (points > 1 || !is_head) {
    bool first = true;
    for (const std::u32string& num : parts) {
      bool plain = num.size() != 2 &&
          num.find_first_not_of(U'0', 1) != std::u32string::npos;
      if (num.empty()) {
      } else if (num[0] == U'0' || plain) {
        say_digits(num);
      } else {
        say(cardinal(ascii(num)), first);
      }
      first = false;
    }
  } else if (!unit.empty() && whole_units) {
    std::string units = parts[0].empty() ? "0" : ascii(parts[0]);
    std::string cents = parts.size() > 1 ? ascii(parts[1]) : "";
    if (cents.size() == 1) {
      cents += '0'; // $3.5 is fifty cents
    }
    units.erase(0, std::min(units.find_first_not_of('0'), units.size() - 1));
    bool no_cents = cents.find_first_not_of('0') == std::string::npos;
    bool no_units = units == "0" && !no_cents;
    if (!no_units) {
      say(cardinal(units));
      append(units == "1" ? lookup(unit) : plural(unit));
    }
    if (!no_cents) {
      if (!no_units) {
        append(lookup(U"and"));
      }
      say(cardinal(cents), no_units);
      std::u32string_view subunit = currency_subunit(currency);
      append(cents == "01" ? lookup(subunit) : plural(subunit));
    }
  } else if (points == 0) {
    std::string digits = ascii(parts[0]);
    bool grouped = word.size() != parts[0].size();
    say(grouped && ordinal_suffix ? ordinal(digits) : cardinal(digits));
  } else if (parts[0].empty()) {
    say("point " + one_by_one(ascii(parts[1])));
  } else {
    say(decimal(ascii(parts[0]), ascii(parts[1])));
  }
  if (failed || out.empty()) {
    return {};
  }
  if (suffix == U"s" || suffix == U"'s") {
    return add_s(out);
  }
  if (suffix == U"ed" || suffix == U"'d") {
    return add_ed(out);
  }
  return suffix == U"ing" ? add_ing(out) : Found(out);
}

} // namespace mlx_audio::text
