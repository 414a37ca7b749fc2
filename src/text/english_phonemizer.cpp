#include "text/english_phonemizer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "mlx_audio/error.h"
#include "text/english_numbers.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

constexpr std::u32string_view kPunctuation = U";:,.!?—…\"“”";
constexpr std::u32string_view kPauses = U";:,.!?—…";
constexpr std::u32string_view kJunk = U"',-._‘’/"; // silent inside a word
constexpr std::u32string_view kConsonants = U"bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ";

// How misaki cuts a token further: 4-3, McDonald, A1B2, well-known.
constexpr std::string_view kSubtokens =
    R"(^['‘’]+|\p{Lu}(?=\p{Lu}\p{Ll})|(?:^-)?(?:\d?[,.]?\d)+|[-_]+|['‘’]{2,})"
    R"(|\p{L}*?(?:['‘’]\p{L})*?\p{Ll}(?=\p{Lu})|\p{L}+(?:['‘’]\p{L})*)"
    R"(|[^-_\p{L}'‘’\d]|['‘’]+$)";

bool contains(std::u32string_view set, char32_t c) {
  return set.find(c) != std::u32string_view::npos;
}

bool all_in(std::u32string_view text, std::u32string_view set) {
  return text.find_first_not_of(set) == std::u32string_view::npos;
}

bool is_punctuation_tag(std::string_view tag) {
  static const std::set<std::string_view> tags = {
      ".", ",", "-LRB-", "-RRB-", "``", "\"\"", "''", ":", "$", "#", "NFP"};
  return tags.count(tag) != 0;
}

Phonemes punctuation_phonemes(std::string_view tag, std::u32string_view text) {
  if (tag == "-LRB-" || tag == "-RRB-") {
    return tag == "-LRB-" ? U"(" : U")";
  }
  if (tag == "``" || tag == "\"\"" || tag == "''") {
    return tag == "``" ? U"“" : U"”";
  }
  Phonemes out;
  for (char32_t c : text) {
    if (contains(kPunctuation, c)) {
      out += c;
    }
  }
  return out;
}

size_t weight(std::u32string_view p) {
  size_t n = 0;
  for (char32_t c : p) {
    n += contains(U"AIOQWYʤʧ", c) ? 2 : 1;
  }
  return n;
}

} // namespace

struct EnglishPhonemizer::Token {
  std::u32string text;
  std::string tag;
  bool space = false;
  size_t begin = 0, end = 0; // bytes in the clean text
  std::optional<Phonemes> phonemes;
  Stress stress;
  char32_t currency = 0;
  std::string flags;
  bool is_head = true;
  bool prespace = false;
  bool says_to = false; // the 2 of "B2B"

  std::u32string with_space() const {
    return space ? text + U' ' : text;
  }
  static Token merged(const Token* first, const Token* last, bool phonemes);
};

// What misaki's merge_tokens keeps of several tokens.
EnglishPhonemizer::Token EnglishPhonemizer::Token::merged(
    const Token* first,
    const Token* last,
    bool join) {
  Token out;
  size_t heaviest = 0;
  bool several_stresses = false;
  std::set<char> flags;
  if (join) {
    out.phonemes.emplace();
  }
  for (const Token* tk = first; tk != last; ++tk) {
    size_t weight = 0;
    for (char32_t c : tk->text) {
      weight += to_lower(c) == c ? 1 : 2;
    }
    if (tk == first || weight > heaviest) {
      heaviest = weight;
      out.tag = tk->tag;
    }
    if (tk->stress) {
      several_stresses =
          several_stresses || (out.stress && *out.stress != *tk->stress);
      out.stress = tk->stress;
    }
    out.currency = std::max(out.currency, tk->currency);
    flags.insert(tk->flags.begin(), tk->flags.end());
    out.text += tk + 1 == last ? tk->text : tk->with_space();
    if (join && tk->phonemes) {
      Phonemes& p = *out.phonemes;
      if (tk->prespace && !p.empty() && p.back() != U' ' &&
          !tk->phonemes->empty()) {
        p += U' ';
      }
      p += *tk->phonemes;
    }
  }
  if (several_stresses) {
    out.stress.reset();
  }
  out.flags.assign(flags.begin(), flags.end());
  out.space = last[-1].space;
  out.is_head = first->is_head;
  out.prespace = first->prespace;
  out.begin = first->begin;
  out.end = last[-1].end;
  return out;
}

EnglishPhonemizer::EnglishPhonemizer(
    bool british,
    const std::string& folder,
    IpaSource unknown)
    : british_(british),
      lexicon_file_(folder + (british ? "/en_gb.bin" : "/en_us.bin")),
      tagger_file_(folder + "/en_tagger.bin"),
      lexicon_(lexicon_file_, british),
      tokenizer_(tagger_file_),
      tagger_(tagger_file_),
      unknown_(std::move(unknown), british),
      subtokens_(kSubtokens, "subtokens") {}

std::vector<EnglishPhonemizer::Token> EnglishPhonemizer::tagged_tokens(
    const CleanText& clean) {
  std::vector<EnglishToken> raw = tokenizer_.tokenize(clean.text);
  auto tags = tagger_.tag(clean.text, raw);
  std::vector<Token> out;
  out.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    Token tk;
    tk.begin = raw[i].begin;
    tk.end = raw[i].end;
    tk.text = to_u32(
        std::string_view(clean.text).substr(tk.begin, tk.end - tk.begin));
    tk.tag = *tags[i];
    tk.space = raw[i].space;
    out.push_back(std::move(tk));
  }
  auto tk = out.begin();
  for (const Markup& markup : clean.markup) {
    while (tk != out.end() && tk->end <= markup.begin) {
      ++tk;
    }
    bool first = true;
    for (auto it = tk; it != out.end() && it->begin < markup.end; ++it) {
      if (markup.phonemes) {
        it->is_head = first;
        it->phonemes = first ? *markup.phonemes : Phonemes();
      }
      it->stress = markup.stress ? markup.stress : it->stress;
      if (!markup.number_flags.empty()) {
        it->flags = markup.number_flags;
      }
      first = false;
    }
  }
  // A phrase with given phonemes is one token.
  std::vector<Token> folded;
  for (Token& token : out) {
    if (!folded.empty() && !token.is_head) {
      Token pair[2] = {std::move(folded.back()), std::move(token)};
      folded.back() = Token::merged(pair, pair + 2, true);
    } else {
      folded.push_back(std::move(token));
    }
  }
  return folded;
}

std::vector<EnglishPhonemizer::Token> EnglishPhonemizer::cut(
    const Token& token,
    std::string_view text) {
  std::vector<Token> out;
  auto add = [&](size_t begin, size_t end) {
    Token tk;
    tk.text = to_u32(text.substr(begin, end - begin));
    tk.tag = token.tag;
    tk.flags = token.flags;
    tk.stress = token.stress;
    tk.begin = token.begin + begin;
    tk.end = token.begin + end;
    out.push_back(std::move(tk));
  };
  bool plain =
      std::all_of(token.text.begin() + 1, token.text.end(), [](char32_t c) {
        return c >= 'a' && c <= 'z';
      });
  if (plain && is_alpha(token.text[0])) {
    add(0, text.size()); // nearly every word
  } else {
    for (size_t from = 0; from < text.size();) {
      auto [begin, end] = subtokens_.search(text, from);
      if (begin >= end || begin == std::string_view::npos) {
        break;
      }
      add(begin, end);
      from = end;
    }
  }
  if (out.empty()) {
    add(0, text.size());
  }
  out.back().space = token.space;
  return out;
}

std::vector<EnglishPhonemizer::Word> EnglishPhonemizer::group(
    std::vector<Token> tokens) {
  std::vector<Word> words;
  bool open = false; // the last word may grow
  char32_t currency = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::vector<Token> parts;
    if (tokens[i].phonemes) {
      parts.push_back(tokens[i]);
    } else {
      parts = cut(tokens[i], to_utf8(tokens[i].text));
    }
    char32_t before = 0; // last character of the part to the left
    for (size_t j = 0; j < parts.size(); ++j) {
      Token& tk = parts[j];
      char32_t left = std::exchange(before, tk.text.back());
      bool dash = tk.text == U"-" || tk.text == U"–";
      bool letters =
          std::all_of(tk.text.begin(), tk.text.end(), [](char32_t c) {
            return c < 0x80 && is_alpha(c);
          });
      if (tk.phonemes) {
      } else if (
          tk.tag == "$" && tk.text.size() == 1 &&
          !currency_unit(tk.text[0]).empty()) {
        currency = tk.text[0];
        tk.phonemes.emplace();
      } else if (tk.tag == ":" && dash) {
        tk.phonemes = U"—";
      } else if (is_punctuation_tag(tk.tag) && !letters) {
        tk.phonemes = punctuation_phonemes(tk.tag, tk.text);
      } else if (currency != 0) {
        bool last = j + 1 == parts.size() &&
            (i + 1 == tokens.size() || tokens[i + 1].tag != "CD");
        if (tk.tag != "CD") {
          currency = 0;
        } else if (last) {
          tk.currency = currency;
        }
      } else if (
          j + 1 < parts.size() && tk.text == U"2" && is_alpha(left) &&
          is_alpha(parts[j + 1].text[0])) {
        tk.says_to = true;
      }
      if (tk.phonemes || tk.says_to) {
        words.push_back({std::move(tk)});
        open = false;
      } else if (open && !words.back().back().space) {
        tk.is_head = false;
        words.back().push_back(std::move(tk));
      } else {
        open = !tk.space;
        words.push_back({std::move(tk)});
      }
    }
  }
  return words;
}

EnglishLexicon::Found EnglishPhonemizer::look_up(
    const Token& tk,
    const WordContext& context) const {
  auto p = lexicon_.pronounce(
      tk.says_to ? std::u32string_view(U"to") : tk.text,
      tk.tag,
      context,
      tk.currency,
      tk.flags,
      tk.is_head);
  return p ? apply_stress(std::move(*p), tk.stress) : p;
}

std::optional<Phonemes> EnglishPhonemizer::unknown(
    const Token& tk,
    std::vector<std::string>* missing) {
  if (!unknown_.available()) {
    return {};
  }
  std::string word = to_utf8(tk.text);
  if (missing != nullptr && !unknown_.known(word)) {
    missing->push_back(std::move(word));
    return {};
  }
  return unknown_.pronounce(word);
}

namespace {

// What the word to the left will see.
WordContext context_before(
    const WordContext& context,
    const std::optional<Phonemes>& phonemes,
    std::u32string_view text,
    std::string_view tag) {
  using Vowel = WordContext::Vowel;
  WordContext out;
  out.future_vowel = context.future_vowel;
  if (phonemes) {
    for (char32_t c : *phonemes) {
      bool vowel = contains(kVowels, c);
      if (contains(kPauses, c)) {
        out.future_vowel = Vowel::unknown;
        break;
      }
      if (vowel || contains(kConsonants, c)) {
        out.future_vowel = vowel ? Vowel::yes : Vowel::no;
        break;
      }
    }
  }
  out.future_to = text == U"to" || text == U"To" ||
      (text == U"TO" && (tag == "TO" || tag == "IN"));
  return out;
}

} // namespace

void EnglishPhonemizer::pronounce(
    std::vector<Word>& words,
    std::vector<std::string>* missing) {
  WordContext context;
  for (auto it = words.rbegin(); it != words.rend(); ++it) {
    if (it->size() > 1) {
      pronounce_compound(*it, context, missing);
      continue;
    }
    Token& tk = it->front();
    if (!tk.phonemes) {
      tk.phonemes = look_up(tk, context);
    }
    if (!tk.phonemes) {
      tk.phonemes = unknown(tk, missing);
    }
    context = context_before(context, tk.phonemes, tk.text, tk.tag);
  }
}

// The longest known part at the right end first, then what is left of it; if
// some part is unknown the fallback gets the whole.
void EnglishPhonemizer::pronounce_compound(
    Word& word,
    WordContext& context,
    std::vector<std::string>* missing) {
  size_t left = 0;
  size_t right = word.size();
  // Bounds the quadratic search in strings without blanks.
  constexpr size_t kLongest = 24;
  while (left < right) {
    if (right - left > kLongest) {
      left = right - kLongest;
    }
    bool spoken = std::any_of(
        word.begin() + static_cast<std::ptrdiff_t>(left),
        word.begin() + static_cast<std::ptrdiff_t>(right),
        [](const Token& tk) { return tk.phonemes.has_value(); });
    EnglishLexicon::Found found;
    Token tk;
    if (!spoken) {
      tk = Token::merged(word.data() + left, word.data() + right, false);
      found = look_up(tk, context);
    }
    if (found) {
      context = context_before(context, found, tk.text, tk.tag);
      word[left].phonemes = std::move(found);
      for (size_t i = left + 1; i < right; ++i) {
        word[i].phonemes.emplace();
      }
      right = left;
      left = 0;
    } else if (left + 1 < right) {
      ++left;
    } else {
      --right;
      Token& last = word[right];
      if (!last.phonemes) {
        if (all_in(last.text, kJunk)) {
          last.phonemes.emplace();
        } else if (unknown_.available()) {
          Token whole =
              Token::merged(word.data(), word.data() + word.size(), false);
          word[0].phonemes = unknown(whole, missing);
          for (size_t i = 1; i < word.size(); ++i) {
            word[i].phonemes.emplace();
          }
          return;
        }
      }
      left = 0;
    }
  }
  // Parts of unlike kinds are spoken apart; in a compound of like parts some
  // lose their stress.
  bool apart = false;
  std::set<int> kinds;
  for (size_t i = 0; i < word.size(); ++i) {
    for (char32_t c : word[i].text) {
      apart = apart || c == U' ' || c == U'/';
      if (!contains(kJunk, c)) {
        kinds.insert(is_alpha(c) ? 0 : is_ascii_digit(c) ? 1 : 2);
      }
    }
    apart = apart || (word[i].space && i + 1 < word.size());
  }
  apart = apart || kinds.size() > 1;
  for (size_t i = 0; i < word.size(); ++i) {
    Token& tk = word[i];
    if (tk.phonemes) {
      tk.prespace = i > 0 && apart;
    } else if (
        i + 1 == word.size() && tk.text.size() == 1 &&
        contains(kPauses, tk.text[0])) {
      tk.phonemes = tk.text;
    } else if (all_in(tk.text, kJunk)) {
      tk.phonemes.emplace();
    }
  }
  if (apart) {
    return;
  }
  struct Part {
    bool primary;
    size_t weight, index;
    auto operator<=>(const Part&) const = default;
  };
  std::vector<Part> parts;
  size_t primaries = 0;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i].phonemes && !word[i].phonemes->empty()) {
      bool primary = contains(*word[i].phonemes, kPrimary);
      primaries += primary;
      parts.push_back({primary, weight(*word[i].phonemes), i});
    }
  }
  auto soften = [&](const Part& part) {
    auto& p = word[part.index].phonemes;
    p = apply_stress(std::move(*p), -0.5);
  };
  if (parts.size() == 2 && word[parts[0].index].text.size() == 1) {
    soften(parts[1]);
  } else if (parts.size() >= 2 && primaries > (parts.size() + 1) / 2) {
    std::sort(parts.begin(), parts.end());
    parts.resize(parts.size() / 2);
    std::for_each(parts.begin(), parts.end(), soften);
  }
}

std::vector<PhonemeToken> EnglishPhonemizer::phonemize(std::string_view text) {
  check_text(text);
  if (is_blank(text)) {
    throw Error(
        ErrorKind::invalid_argument,
        "there is nothing to speak: the text is blank");
  }
  CleanText clean = read_markup(text);
  std::vector<Word> words = group(tagged_tokens(clean));
  std::vector<Word> trial = words;
  std::vector<std::string> missing;
  pronounce(trial, &missing);
  if (!missing.empty()) {
    unknown_.learn(missing); // one question for all of them
    trial = std::move(words);
    pronounce(trial, nullptr);
  }
  std::vector<PhonemeToken> out;
  out.reserve(trial.size());
  for (const Word& word : trial) {
    Token tk = word.size() == 1
        ? word.front()
        : Token::merged(word.data(), word.data() + word.size(), true);
    Phonemes p = tk.phonemes ? *tk.phonemes : Phonemes();
    std::replace(p.begin(), p.end(), U'ɾ', U'T');
    std::replace(p.begin(), p.end(), U'ʔ', U't');
    PhonemeToken token;
    token.text = to_utf8(tk.text);
    token.phonemes = to_utf8(p);
    token.space_after = tk.space;
    token.begin = clean.source[tk.begin];
    token.end = tk.end > tk.begin ? clean.source[tk.end - 1] + 1 : token.begin;
    out.push_back(std::move(token));
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> EnglishPhonemizer::tags(
    std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  CleanText clean = read_markup(text);
  auto tokens = tokenizer_.tokenize(clean.text);
  auto tags = tagger_.tag(clean.text, tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    out.emplace_back(
        clean.text.substr(tokens[i].begin, tokens[i].end - tokens[i].begin),
        *tags[i]);
  }
  return out;
}

} // namespace mlx_audio::text
