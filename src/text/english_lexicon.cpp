#include "text/english_lexicon.h"

#include <algorithm>
#include <tuple>

#include "text/english_numbers.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

bool contains(std::u32string_view set, char32_t c) {
  return set.find(c) != std::u32string_view::npos;
}

bool has_stress(std::u32string_view p) {
  return contains(p, kPrimary) || contains(p, kSecondary);
}

bool has_vowel(std::u32string_view p) {
  return p.find_first_of(kVowels) != std::u32string_view::npos;
}

Phonemes without(std::u32string_view p, char32_t mark) {
  Phonemes out;
  for (char32_t c : p) {
    if (c != mark) {
      out += c;
    }
  }
  return out;
}

// The mark belongs right before the first vowel.
Phonemes stress_first_vowel(char32_t mark, Phonemes p) {
  p.insert(p.find_first_of(kVowels), 1, mark);
  return p;
}

bool all_alpha(std::u32string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), is_alpha);
}

// Letters, apostrophes and hyphens of ASCII: what the dictionaries can hold.
bool is_dictionary_text(std::u32string_view word) {
  return std::all_of(word.begin(), word.end(), [](char32_t c) {
    return c == '\'' || c == '-' || (c < 0x80 && is_alpha(c));
  });
}

std::string_view parent_tag(std::string_view tag) {
  auto starts = [&](std::string_view with) {
    return tag.substr(0, with.size()) == with;
  };
  return starts("VB")                 ? "VERB"
      : starts("NN")                  ? "NOUN"
      : starts("ADV") || starts("RB") ? "ADV"
      : starts("ADJ") || starts("JJ") ? "ADJ"
                                      : tag;
}

std::u32string_view symbol_word(std::u32string_view word) {
  return word == U"%" ? U"percent"
      : word == U"&"  ? U"and"
      : word == U"+"  ? U"plus"
      : word == U"@"  ? U"at"
                      : std::u32string_view();
}

bool is_one_of(
    std::u32string_view word,
    std::initializer_list<std::u32string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool ends_with(std::u32string_view word, std::u32string_view end) {
  return word.size() >= end.size() &&
      word.substr(word.size() - end.size()) == end;
}

// After these vowels an American t before a suffix is a tap.
constexpr std::u32string_view kTapVowels = U"AIOWYiuæɑəɛɪɹʊʌ";

} // namespace

Phonemes apply_stress(Phonemes p, Stress stress) {
  if (!stress) {
    return p;
  }
  double s = *stress;
  bool primary = contains(p, kPrimary);
  if (s < -1) {
    return without(without(p, kPrimary), kSecondary);
  }
  if (s == -1 || ((s == 0 || s == -0.5) && primary)) {
    p = without(p, kSecondary);
    std::replace(p.begin(), p.end(), kPrimary, kSecondary);
    return p;
  }
  if ((s == 0 || s == 0.5 || s == 1) && !has_stress(p)) {
    return has_vowel(p) ? stress_first_vowel(kSecondary, std::move(p)) : p;
  }
  if (s >= 1 && !primary && contains(p, kSecondary)) {
    std::replace(p.begin(), p.end(), kSecondary, kPrimary);
    return p;
  }
  if (s > 1 && !has_stress(p)) {
    return has_vowel(p) ? stress_first_vowel(kPrimary, std::move(p)) : p;
  }
  return p;
}

struct EnglishLexicon::Entry {
  std::string_view value; // data() is null if there is none

  explicit operator bool() const {
    return value.data() != nullptr;
  }
  bool by_tag() const {
    return !value.empty() && value[0] == '\x01';
  }
  // {found, phonemes or none}
  std::pair<bool, Found> of_tag(std::string_view tag) const {
    size_t at = 1;
    while (at < value.size()) {
      size_t n = static_cast<unsigned char>(value[at]);
      std::string_view name = value.substr(at + 1, n);
      at += 1 + n;
      size_t m =
          at < value.size() ? static_cast<unsigned char>(value[at]) : 255;
      std::string_view phonemes =
          m == 255 ? std::string_view() : value.substr(at + 1, m);
      at += m == 255 ? 1 : 1 + m;
      if (name == tag) {
        return {true, m == 255 ? Found() : Found(to_u32(phonemes))};
      }
    }
    return {false, {}};
  }
};

EnglishLexicon::EnglishLexicon(const SectionFile& file, bool british)
    : gold_(file, "gold"), silver_(file, "silver"), british_(british) {}

// A word in lower case also answers for its capitalized form, and the other
// way round, unless that has an entry of its own.
EnglishLexicon::Entry EnglishLexicon::find(
    const StringTable& table,
    std::u32string_view word) const {
  if (word.empty() || word.size() > 64) {
    return {};
  }
  std::string key;
  for (char32_t c : word) {
    if (c >= 0x80) {
      return {};
    }
    key += static_cast<char>(c);
  }
  Entry entry{table.find(key)};
  if (entry || key.size() < 2) {
    return entry;
  }
  bool lower_rest = std::none_of(
      key.begin() + 1, key.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!lower_rest || !is_alpha(word[0])) {
    return {};
  }
  key[0] = static_cast<char>(key[0] ^ 0x20);
  return {table.find(key)};
}

bool EnglishLexicon::has(std::u32string_view word) const {
  return find(gold_, word) || find(silver_, word);
}

bool EnglishLexicon::is_known(std::u32string_view word) const {
  if (has(word) || !symbol_word(word).empty()) {
    return true;
  }
  if (!all_alpha(word) || !is_dictionary_text(word)) {
    return false;
  }
  if (word.size() == 1) {
    return true;
  }
  if (word == to_upper(word) && find(gold_, to_lower(word))) {
    return true;
  }
  return word.substr(1) == to_upper(word.substr(1));
}

// Letter by letter, the last one stressed.
EnglishLexicon::Found EnglishLexicon::spell(std::u32string_view word) const {
  Phonemes p;
  for (char32_t c : word) {
    if (!is_alpha(c)) {
      continue;
    }
    std::u32string letter = to_upper(std::u32string_view(&c, 1));
    Entry entry = find(gold_, letter);
    if (!entry) {
      return {};
    }
    p += to_u32(entry.value);
  }
  p = apply_stress(std::move(p), 0);
  size_t last = p.rfind(kSecondary);
  if (last != Phonemes::npos) {
    p[last] = kPrimary;
  }
  return p;
}

EnglishLexicon::Found EnglishLexicon::lookup(
    std::u32string word,
    std::string_view tag,
    Stress stress,
    const WordContext* context) const {
  bool name = false;
  if (word == to_upper(word) && !find(gold_, word)) {
    word = to_lower(word);
    name = tag == "NNP";
  }
  Entry entry = find(gold_, word);
  if (!entry && !name) {
    entry = find(silver_, word);
  }
  Found p;
  if (entry && entry.by_tag()) {
    bool at_pause =
        context && context->future_vowel == WordContext::Vowel::unknown;
    auto [found, phonemes] = entry.of_tag("None");
    if (!at_pause || !found) {
      std::tie(found, phonemes) = entry.of_tag(tag);
      if (!found) {
        std::tie(found, phonemes) = entry.of_tag(parent_tag(tag));
      }
    }
    p = found ? phonemes : entry.of_tag("DEFAULT").second;
  } else if (entry) {
    p = to_u32(entry.value);
  }
  if (!p || (name && !contains(*p, kPrimary))) {
    Found spelled = spell(word);
    if (spelled) {
      return spelled;
    }
  }
  if (!p) {
    return {};
  }
  return apply_stress(std::move(*p), stress);
}

EnglishLexicon::Found EnglishLexicon::special_case(
    std::u32string_view w,
    std::string_view tag,
    Stress stress,
    const WordContext& context) const {
  using Vowel = WordContext::Vowel;
  bool noun = tag.substr(0, 2) == "NN";
  if (tag == "ADD" && (w == U"." || w == U"/")) {
    return lookup(w == U"." ? U"dot" : U"slash", {}, -0.5, &context);
  }
  if (!symbol_word(w).empty()) {
    return lookup(std::u32string(symbol_word(w)), {}, {}, &context);
  }
  // Initials: U.S., D.J., e.g.
  size_t first = w.find_first_not_of(U'.');
  size_t last = w.find_last_not_of(U'.');
  if (first != std::u32string_view::npos &&
      contains(w.substr(first, last - first + 1), U'.') &&
      all_alpha(without(w, U'.'))) {
    size_t longest = 0;
    size_t run = 0;
    for (char32_t c : w) {
      run = c == U'.' ? 0 : run + 1;
      longest = std::max(longest, run);
    }
    if (longest < 3) {
      return spell(w);
    }
  }
  if (w == U"a" || w == U"A") {
    return tag == "DT" ? U"ɐ" : U"ˈA";
  }
  if (is_one_of(w, {U"am", U"Am", U"AM"})) {
    if (noun) {
      return spell(w);
    }
    if (context.future_vowel == Vowel::unknown || w != U"am" ||
        (stress && *stress > 0)) {
      return lookup(U"am");
    }
    return U"ɐm";
  }
  if (is_one_of(w, {U"an", U"An", U"AN"})) {
    return w == U"AN" && noun ? spell(w) : U"ɐn";
  }
  if (w == U"I" && tag == "PRP") {
    return U"ˌI";
  }
  if (is_one_of(w, {U"by", U"By", U"BY"}) && parent_tag(tag) == "ADV") {
    return U"bˈI";
  }
  if (w == U"to" || w == U"To" ||
      (w == U"TO" && (tag == "TO" || tag == "IN"))) {
    if (context.future_vowel == Vowel::unknown) {
      Entry entry = find(gold_, U"to");
      return entry ? Found(to_u32(entry.value)) : Found(U"tu");
    }
    return context.future_vowel == Vowel::yes ? U"tʊ" : U"tə";
  }
  if (w == U"in" || w == U"In" || (w == U"IN" && tag != "NNP")) {
    bool full = context.future_vowel == Vowel::unknown || tag != "IN";
    return full ? U"ˈɪn" : U"ɪn";
  }
  if (w == U"the" || w == U"The" || (w == U"THE" && tag == "DT")) {
    return context.future_vowel == Vowel::yes ? U"ði" : U"ðə";
  }
  if (tag == "IN") {
    std::u32string lower = to_lower(w);
    if (lower == U"vs" || lower == U"vs.") {
      return lookup(U"versus", {}, {}, &context);
    }
  }
  if (is_one_of(w, {U"used", U"Used", U"USED"})) {
    Entry entry = find(gold_, U"used");
    if (entry && entry.by_tag()) {
      bool habit = (tag == "VBD" || tag == "JJ") && context.future_to;
      return entry.of_tag(habit ? "VBD" : "DEFAULT").second;
    }
  }
  return {};
}

EnglishLexicon::Stem EnglishLexicon::stem_s(std::u32string_view w) const {
  if (w.size() < 3 || w.back() != 's') {
    return {};
  }
  auto cut = [&](size_t n) { return w.substr(0, w.size() - n); };
  if (!ends_with(w, U"ss") && is_known(cut(1))) {
    return std::u32string(cut(1));
  }
  bool es = w.size() > 4 && ends_with(w, U"es") && !ends_with(w, U"ies");
  if ((ends_with(w, U"'s") || es) && is_known(cut(2))) {
    return std::u32string(cut(2));
  }
  if (w.size() > 4 && ends_with(w, U"ies")) {
    std::u32string stem = std::u32string(cut(3)) + U'y';
    if (is_known(stem)) {
      return stem;
    }
  }
  return {};
}

EnglishLexicon::Stem EnglishLexicon::stem_ed(std::u32string_view w) const {
  if (w.size() < 4 || w.back() != 'd') {
    return {};
  }
  auto cut = [&](size_t n) { return w.substr(0, w.size() - n); };
  if (!ends_with(w, U"dd") && is_known(cut(1))) {
    return std::u32string(cut(1));
  }
  if (w.size() > 4 && ends_with(w, U"ed") && !ends_with(w, U"eed") &&
      is_known(cut(2))) {
    return std::u32string(cut(2));
  }
  return {};
}

EnglishLexicon::Stem EnglishLexicon::stem_ing(std::u32string_view w) const {
  if (w.size() < 5 || !ends_with(w, U"ing")) {
    return {};
  }
  std::u32string stem(w.substr(0, w.size() - 3));
  if (w.size() > 5 && is_known(stem)) {
    return stem;
  }
  if (is_known(stem + U'e')) {
    return stem + U'e';
  }
  size_t n = stem.size();
  bool doubled = n >= 2 && stem[n - 1] == stem[n - 2] &&
      contains(U"bcdgklmnprstvxz", stem[n - 1]);
  if (w.size() > 5 && (doubled || ends_with(stem, U"ck"))) {
    stem.pop_back();
    if (is_known(stem)) {
      return stem;
    }
  }
  return {};
}

EnglishLexicon::Found EnglishLexicon::add_s(Found stem) const {
  if (!stem || stem->empty()) {
    return {};
  }
  char32_t last = stem->back();
  if (contains(U"ptkfθ", last)) {
    return *stem + U's';
  }
  if (contains(U"szʃʒʧʤ", last)) {
    return *stem + (british_ ? U"ɪz" : U"ᵻz");
  }
  return *stem + U'z';
}

EnglishLexicon::Found EnglishLexicon::add_ed(Found stem) const {
  if (!stem || stem->empty()) {
    return {};
  }
  Phonemes& p = *stem;
  char32_t last = p.back();
  if (contains(U"pkfθʃsʧ", last)) {
    return p + U't';
  }
  if (last == U'd') {
    return p + (british_ ? U"ɪd" : U"ᵻd");
  }
  if (last != U't') {
    return p + U'd';
  }
  if (british_ || p.size() < 2) {
    return p + U"ɪd";
  }
  if (contains(kTapVowels, p[p.size() - 2])) {
    p.back() = U'ɾ';
  }
  return p + U"ᵻd";
}

EnglishLexicon::Found EnglishLexicon::add_ing(Found stem) const {
  if (!stem || stem->empty()) {
    return {};
  }
  Phonemes& p = *stem;
  if (british_) {
    // A linking r would be needed here; leave it to the fallback.
    return contains(U"əː", p.back()) ? Found() : Found(p + U"ɪŋ");
  }
  if (p.size() > 1 && p.back() == U't' &&
      contains(kTapVowels, p[p.size() - 2])) {
    p.back() = U'ɾ';
  }
  return p + U"ɪŋ";
}

EnglishLexicon::Found EnglishLexicon::word(
    std::u32string w,
    std::string_view tag,
    Stress stress,
    const WordContext& context) const {
  Found p = special_case(w, tag, stress, context);
  if (p) {
    return p;
  }
  // SHOUTED and Capitalized words that have no entry in that form.
  std::u32string lower = to_lower(w);
  if (w.size() > 1 && w != lower && all_alpha(without(w, U'\'')) &&
      (tag != "NNP" || w.size() > 7) && !has(w) &&
      (w == to_upper(w) || w.substr(1) == to_lower(w.substr(1)))) {
    auto stems = [&](const Stem& stem) {
      return stem && lookup(*stem, tag, stress, &context);
    };
    if (has(lower) || stems(stem_s(lower)) || stems(stem_ed(lower)) ||
        stems(stem_ing(lower))) {
      w = lower;
    }
  }
  if (is_known(w)) {
    return lookup(w, tag, stress, &context);
  }
  if (ends_with(w, U"s'")) {
    std::u32string singular = w.substr(0, w.size() - 2) + U"'s";
    if (is_known(singular)) {
      return lookup(singular, tag, stress, &context);
    }
  }
  if (ends_with(w, U"'") && is_known(w.substr(0, w.size() - 1))) {
    return lookup(w.substr(0, w.size() - 1), tag, stress, &context);
  }
  if (Stem stem = stem_s(w)) {
    if (Found found = add_s(lookup(*stem, tag, stress, &context))) {
      return found;
    }
  }
  if (Stem stem = stem_ed(w)) {
    if (Found found = add_ed(lookup(*stem, tag, stress, &context))) {
      return found;
    }
  }
  if (Stem stem = stem_ing(w)) {
    Stress light = stress ? stress : 0.5;
    if (Found found = add_ing(lookup(*stem, tag, light, &context))) {
      return found;
    }
  }
  return {};
}

EnglishLexicon::Found EnglishLexicon::pronounce(
    std::u32string_view text,
    std::string_view tag,
    const WordContext& context,
    char32_t currency,
    std::string_view flags,
    bool is_head) const {
  std::u32string w(text);
  for (char32_t& c : w) {
    if (c == U'‘' || c == U'’') {
      c = U'\'';
    }
  }
  w = nfkc(w);
  for (char32_t& c : w) {
    if (c >= 0x80 && is_digit(c)) {
      c = digit_value(c);
    }
  }
  Stress stress;
  if (w != to_lower(w)) {
    stress = w == to_upper(w) ? 2 : 0.5;
  }
  if (Found p = word(w, tag, stress, context)) {
    if (currency != 0) {
      if (Found unit = plural(currency_unit(currency))) {
        return *p + U' ' + *unit;
      }
    }
    return p;
  }
  return is_number(w, is_head) ? number(w, currency, flags, is_head) : Found();
}

} // namespace mlx_audio::text
