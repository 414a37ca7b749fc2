// English words and marks as spaCy's tokenizer cuts them: the tagger was
// trained on these tokens, and misaki's rules look at them. The patterns and
// exceptions are the model's own and come from the data file.
// Algorithm: spaCy, spacy/tokenizer.pyx (MIT).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/pattern.h"
#include "text/sections.h"

namespace mlx_audio::text {

struct EnglishToken {
  size_t begin = 0, end = 0; ///< bytes in the tokenized text
  bool space = false; ///< one blank follows
  std::string_view norm; ///< set by an exception; empty: by the word itself
};

class EnglishTokenizer {
 public:
  /// @param file must outlive the tokenizer.
  explicit EnglishTokenizer(const SectionFile& file);

  /// @param text valid UTF-8 without control characters.
  std::vector<EnglishToken> tokenize(std::string_view text);

  /// Exceptions that the affix patterns would tear apart, as "word" ->
  /// "tok\x1ftok": made once when the data file is compiled.
  std::map<std::string, std::string> torn_exceptions();

 private:
  struct Piece {
    uint32_t begin, end; // bytes relative to the chunk
    std::string_view norm;
  };
  using Pieces = std::vector<Piece>;

  void tokenize_chunks(
      std::string_view text,
      bool exceptions,
      std::vector<EnglishToken>& out);
  Pieces split_chunk(std::string_view chunk, bool exceptions);
  bool add_exception(std::string_view word, size_t at, Pieces& out) const;
  void restore_torn(std::string_view text, std::vector<EnglishToken>& tokens);

  StringTable rules_;
  Pattern prefix_, suffix_, infix_, url_;
  // first token -> the sequences that start with it
  std::unordered_map<std::string, std::vector<std::vector<std::string>>> torn_;
  std::unordered_map<std::string, Pieces> cache_;
};

} // namespace mlx_audio::text
