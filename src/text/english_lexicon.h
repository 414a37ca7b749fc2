// Pronunciations of English words as misaki finds them: two dictionaries of an
// accent, entries that depend on the part of speech, function words that depend
// on their neighbours, stress by capitals, and the endings -s, -ed and -ing.
// Algorithm and dictionaries: misaki 0.9.4, misaki/en.py (Apache-2.0).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/sections.h"

namespace mlx_audio::text {

/// What follows a word, seen from the right.
struct WordContext {
  enum class Vowel { unknown, no, yes }; ///< unknown: a pause or the end
  Vowel future_vowel = Vowel::unknown;
  bool future_to = false; ///< the next word is "to"
};

using Phonemes = std::u32string;
using Stress = std::optional<double>; ///< -2 ... 2, as in [word](+1)

/// Primary and secondary stress marks, and the letters that can carry them.
inline constexpr char32_t kPrimary = U'ˈ';
inline constexpr char32_t kSecondary = U'ˌ';
inline constexpr std::u32string_view kVowels = U"AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ";

/// Raises (> 0), lowers (< 0) or removes (-2) the stress of a word.
Phonemes apply_stress(Phonemes phonemes, Stress stress);

class EnglishLexicon {
 public:
  using Found = std::optional<Phonemes>;

  /// @param file must outlive the lexicon.
  EnglishLexicon(const SectionFile& file, bool british);

  /// A word or number with its tag; nothing if it is not known.
  /// @param currency '$', '£', '€' ... before the number, or 0
  /// @param flags of `[2024](#flags#)`: '&' says "and", 'a' says "a hundred",
  ///   'n' says "hundred'n"
  /// @param is_head false inside a token such as "4-3"
  Found pronounce(
      std::u32string_view text,
      std::string_view tag,
      const WordContext& context,
      char32_t currency = 0,
      std::string_view flags = {},
      bool is_head = true) const;

 private:
  struct Entry; // an entry of a dictionary

  Entry find(const StringTable& table, std::u32string_view word) const;
  bool has(std::u32string_view word) const; // in either dictionary
  bool is_known(std::u32string_view word) const;
  Found lookup(
      std::u32string word,
      std::string_view tag,
      Stress stress,
      const WordContext* context) const;
  Found lookup(std::u32string_view word) const {
    return lookup(std::u32string(word), {}, {}, nullptr);
  }
  Found spell(std::u32string_view word) const;
  Found special_case(
      std::u32string_view word,
      std::string_view tag,
      Stress stress,
      const WordContext& context) const;
  Found word(
      std::u32string word,
      std::string_view tag,
      Stress stress,
      const WordContext& context) const;

  using Stem = std::optional<std::u32string>;
  Stem stem_s(std::u32string_view word) const;
  Stem stem_ed(std::u32string_view word) const;
  Stem stem_ing(std::u32string_view word) const;
  Found add_s(Found stem) const;
  Found add_ed(Found stem) const;
  Found add_ing(Found stem) const;

  Found number(
      std::u32string word,
      char32_t currency,
      std::string_view flags,
      bool is_head) const;
  Found plural(std::u32string_view unit) const;

  const StringTable gold_, silver_;
  const bool british_;
};

} // namespace mlx_audio::text
