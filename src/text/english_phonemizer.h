// English text to phonemes: markup, tokens, tags, numbers and currencies,
// dictionary look-up from right to left (a word may depend on the next), and
// stress inside compounds. Algorithm: misaki 0.9.4, misaki/en.py (Apache-2.0).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/english_lexicon.h"
#include "text/english_tagger.h"
#include "text/english_tokenizer.h"
#include "text/espeak_phonemizer.h"
#include "text/pattern.h"
#include "text/phonemizer.h"

namespace mlx_audio::text {

/// `[word](/phonemes/)`, `[word](+1)` and `[2024](#&#)` in a text.
struct Markup {
  size_t begin, end; ///< bytes of the word in the clean text
  std::optional<Phonemes> phonemes;
  Stress stress;
  std::string number_flags;
};

/// A text without markup and with single blanks, and where it came from.
struct CleanText {
  std::string text;
  std::vector<size_t> source; ///< source offset of each byte, and of the end
  std::vector<Markup> markup;
};
CleanText read_markup(std::string_view text);

class EnglishPhonemizer : public Phonemizer {
 public:
  /// @param folder g2p/ with en_us.bin or en_gb.bin, and en_tagger.bin
  EnglishPhonemizer(bool british, const std::string& folder, IpaSource unknown);

  std::vector<PhonemeToken> phonemize(std::string_view text) override;
  Language language() const override {
    return british_ ? Language::en_gb : Language::en_us;
  }

  /// Tokens and their tags, for tests.
  std::vector<std::pair<std::string, std::string>> tags(std::string_view text);

 private:
  struct Token;
  using Word = std::vector<Token>; // tokens that touch: pronounced as one

  std::vector<Token> tagged_tokens(const CleanText& clean);
  std::vector<Word> group(std::vector<Token> tokens);
  std::vector<Token> cut(const Token& token, std::string_view text);
  /// @param missing words to ask for are put here instead of asked for; null:
  ///   ask.
  void pronounce(std::vector<Word>& words, std::vector<std::string>* missing);
  void pronounce_compound(
      Word& word,
      WordContext& context,
      std::vector<std::string>* missing);
  std::optional<Phonemes> unknown(
      const Token& token,
      std::vector<std::string>* missing);
  EnglishLexicon::Found look_up(const Token& token, const WordContext& context)
      const;

  const bool british_;
  const SectionFile lexicon_file_, tagger_file_;
  const EnglishLexicon lexicon_;
  EnglishTokenizer tokenizer_;
  EnglishTagger tagger_;
  UnknownWords unknown_;
  Pattern subtokens_;
};

} // namespace mlx_audio::text
