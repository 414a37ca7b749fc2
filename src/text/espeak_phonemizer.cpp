#include "text/espeak_phonemizer.h"

#include <algorithm>

#include "mlx_audio/error.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

constexpr size_t kCacheEntries = 50000;
constexpr std::u32string_view kMarks = U";:,.!?¡¿—…\"«»“”(){}[]";

using Replacement = std::pair<std::string_view, std::string_view>;

// Order matters: longer sequences first.
constexpr Replacement kEnglish[] = {
    {"ʔˌn\u0329", "ʔn"}, {"a^ɪ", "I"}, {"a^ʊ", "W"}, {"d^ʒ", "ʤ"},
    {"e^ɪ", "A"},        {"t^ʃ", "ʧ"}, {"ɔ^ɪ", "Y"}, {"ə^l", "ᵊl"},
    {"ʔn\u0329", "ʔn"},  {"ʲo", "jo"}, {"ʲə", "jə"}, {"e", "A"},
    {"ʲ", ""},           {"ɚ", "əɹ"},  {"r", "ɹ"},   {"x", "k"},
    {"ç", "k"},          {"ɐ", "ə"},   {"ɬ", "l"},   {"\u0303", ""}};
constexpr Replacement kBritish[] = {{"e^ə", "ɛː"}, {"iə", "ɪə"}, {"ə^ʊ", "Q"}};
constexpr Replacement kAmerican[] =
    {{"o^ʊ", "O"}, {"ɜːɹ", "ɜɹ"}, {"ɜː", "ɜɹ"}, {"ɪə", "iə"}, {"ː", ""}};
constexpr Replacement kEnglishEnd[] = {
    {"o", "ɔ"},
    {"ɾ", "T"},
    {"ʔ", "t"},
    {"^", ""}};
constexpr Replacement kOther[] = {
    {"a^ɪ", "I"},
    {"a^ʊ", "W"},
    {"d^z", "ʣ"},
    {"d^ʒ", "ʤ"},
    {"e^ɪ", "A"},
    {"o^ʊ", "O"},
    {"s^s", "S"},
    {"t^s", "ʦ"},
    {"t^ʃ", "ʧ"},
    {"ɔ^ɪ", "Y"},
    {"ə^ʊ", "Q"},
    {"^", ""},
    {"-", ""}};

template <size_t n>
void replace(std::string& text, const Replacement (&list)[n]) {
  for (auto [from, to] : list) {
    for (size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
      text.replace(at, from.size(), to);
    }
  }
}

// A syllabic mark under a consonant becomes a weak vowel before it.
std::string resolve_syllabic(std::string_view text) {
  std::u32string out;
  for (char32_t c : to_u32(text)) {
    if (c != U'\u0329') {
      out += c;
    } else if (!out.empty() && !is_space(out.back())) {
      out.insert(out.size() - 1, 1, U'ᵊ');
    }
  }
  return to_utf8(out);
}

std::u32string english_from_ipa(std::string ipa, bool british) {
  replace(ipa, kEnglish);
  ipa = resolve_syllabic(ipa);
  if (british) {
    replace(ipa, kBritish);
  } else {
    replace(ipa, kAmerican);
  }
  replace(ipa, kEnglishEnd);
  return to_u32(ipa);
}

bool is_mark(char32_t c) {
  return kMarks.find(c) != std::u32string_view::npos;
}

// A text cut into words to speak and marks to keep.
struct Piece {
  size_t begin, end; // bytes, without white space around
  char32_t mark; // or 0 for spoken text
  bool space_after;
};

std::vector<Piece> cut_at_marks(std::string_view text) {
  std::vector<Piece> out;
  bool open = false; // the last piece is spoken text that goes on
  for (size_t pos = 0; pos < text.size();) {
    size_t at = pos;
    char32_t c = decode_utf8(text, pos);
    if (is_space(c)) {
      if (!out.empty()) {
        out.back().space_after = true;
      }
    } else if (is_mark(c)) {
      out.push_back({at, pos, c, false});
      open = false;
    } else if (open) {
      out.back().end = pos;
      out.back().space_after = false;
    } else {
      out.push_back({at, pos, 0, false});
      open = true;
    }
  }
  return out;
}

std::vector<std::pair<size_t, size_t>> words_of(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> out;
  bool in_word = false;
  for (size_t pos = 0; pos < text.size();) {
    size_t at = pos;
    if (is_space(decode_utf8(text, pos))) {
      in_word = false;
    } else if (in_word) {
      out.back().second = pos;
    } else {
      out.emplace_back(at, pos);
      in_word = true;
    }
  }
  return out;
}

class EspeakPhonemizer : public Phonemizer {
 public:
  EspeakPhonemizer(Language language, IpaSource source)
      : language_(language), source_(std::move(source)) {}

  Language language() const override {
    return language_;
  }

  std::vector<PhonemeToken> phonemize(std::string_view text) override {
    check_text(text);
    std::vector<Piece> pieces = cut_at_marks(text);
    std::vector<std::string> lines;
    for (const Piece& piece : pieces) {
      if (piece.mark == 0) {
        lines.emplace_back(text.substr(piece.begin, piece.end - piece.begin));
      }
    }
    if (is_blank(text)) {
      throw Error(
          ErrorKind::invalid_argument,
          "there is nothing to speak: the text is blank");
    }
    std::vector<std::string> ipa = lines.empty() ? lines : source_(lines);
    std::vector<PhonemeToken> out;
    size_t line = 0;
    for (const Piece& piece : pieces) {
      std::string_view source =
          text.substr(piece.begin, piece.end - piece.begin);
      if (piece.mark != 0) {
        std::u32string mark(1, piece.mark);
        mark = mark == U"«" ? U"“" : mark == U"»" ? U"”" : mark;
        out.push_back(
            {std::string(source),
             to_utf8(mark),
             piece.space_after,
             piece.begin,
             piece.end});
        continue;
      }
      std::string phonemes = ipa[line++];
      replace(phonemes, kOther);
      add_words(source, phonemes, piece, out);
    }
    return out;
  }

 private:
  // Word by word if eSpeak said as many words as were written; it joins some
  // ("de la") and splits others (numbers), then the piece is one token.
  static void add_words(
      std::string_view source,
      std::string_view phonemes,
      const Piece& piece,
      std::vector<PhonemeToken>& out) {
    auto written = words_of(source);
    auto spoken = words_of(phonemes);
    if (written.size() != spoken.size()) {
      written = {{0, source.size()}};
      size_t end = spoken.empty() ? 0 : spoken.back().second;
      spoken = {{0, end}};
    }
    for (size_t i = 0; i < written.size(); ++i) {
      auto [begin, end] = written[i];
      auto [from, to] = spoken[i];
      out.push_back(
          {std::string(source.substr(begin, end - begin)),
           std::string(phonemes.substr(from, to - from)),
           i + 1 < written.size() || piece.space_after,
           piece.begin + begin,
           piece.begin + end});
    }
  }

  Language language_;
  IpaSource source_;
};

} // namespace

std::unique_ptr<Phonemizer> make_espeak_phonemizer(
    Language language,
    IpaSource source) {
  return std::make_unique<EspeakPhonemizer>(language, std::move(source));
}

IpaSource espeak_source(
    const PhonemizerOptions& options,
    const std::string& voice) {
  if (options.espeak_program.empty()) {
    return {};
  }
  auto process = std::make_shared<Espeak>(
      options.espeak_program, voice, options.espeak_timeout);
  return [process](const std::vector<std::string>& lines) {
    return process->phonemes(lines);
  };
}

void UnknownWords::learn(const std::vector<std::string>& words) {
  if (!source_) {
    return;
  }
  // Marks inside a word stay; what lies between them is asked for.
  std::vector<std::string> lines;
  std::vector<std::string> wanted;
  for (const std::string& word : words) {
    if (!known(word) &&
        std::find(wanted.begin(), wanted.end(), word) == wanted.end()) {
      wanted.push_back(word);
      for (const Piece& piece : cut_at_marks(word)) {
        if (piece.mark == 0) {
          lines.push_back(word.substr(piece.begin, piece.end - piece.begin));
        }
      }
    }
  }
  if (wanted.empty()) {
    return;
  }
  std::vector<std::string> ipa = lines.empty() ? lines : source_(lines);
  if (cache_.size() + wanted.size() > kCacheEntries) {
    cache_.clear();
  }
  size_t line = 0;
  for (const std::string& word : wanted) {
    std::string joined;
    for (const Piece& piece : cut_at_marks(word)) {
      if (piece.mark != 0) {
        append_utf8(joined, piece.mark);
      } else {
        joined += ipa[line++];
      }
      joined += piece.space_after ? " " : "";
    }
    cache_[word] = english_from_ipa(joined, british_);
  }
}

const std::u32string& UnknownWords::pronounce(const std::string& word) {
  if (!known(word)) {
    learn({word});
  }
  return cache_[word];
}

} // namespace mlx_audio::text
