#include "text/split.h"

#include <algorithm>
#include <cstring>

#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include "mlx_audio/error.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

// Bytes pronounced at once: little for the first chunk, then enough that the
// unknown words of a passage share one question to eSpeak.
constexpr size_t kFirstBlock = 160;
constexpr size_t kBlock = 1500;
// A line of so many characters was wrapped by an editor: it goes on behind its
// line feed. Shorter ones are headings or verse, longer ones paragraphs.
constexpr size_t kWrappedLine = 50;
constexpr size_t kWrappedLineMost = 100;
// A rest of fewer phonemes than this is not worth a chunk of its own.
constexpr size_t kShortRest = 20;

// Marks at which a speaker may pause inside a sentence, in all scripts.
constexpr std::u32string_view kClauseMarks =
    U",;:—–…)”\"»、，；：）」』】》،؛।॥";
// English words that begin a phrase: better cut before than behind them.
constexpr std::string_view kPhraseStarts =
    " and or but nor so that which who whom whose when where while because if "
    "as than of to in on at for with from by into over under about after "
    "before between through without is are was were has have had ";

// What stands in [word](/.../) must stay in one piece: the end of such markup
// that begins before `at` and ends behind it, or 0.
size_t markup_around(std::string_view text, size_t at) {
  size_t from = at > 600 ? at - 600 : 0;
  for (size_t open = text.find('[', from); open < at;
       open = text.find('[', open + 1)) {
    size_t middle = text.find("](", open);
    if (middle == std::string_view::npos || middle > open + 500) {
      continue;
    }
    size_t close = text.find(')', middle);
    if (close != std::string_view::npos && close < middle + 500 &&
        close >= at) {
      return close + 1;
    }
  }
  return 0;
}

size_t code_point_start(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (text[at] & 0xc0) == 0x80) {
    --at;
  }
  return at;
}

bool speakable(std::string_view phonemes) {
  for (size_t pos = 0; pos < phonemes.size();) {
    char32_t c = decode_utf8(phonemes, pos);
    if (is_alpha(c) || is_digit(c)) {
      return true;
    }
  }
  return false;
}

// Words whose full stop does not end a sentence, of all our languages.
constexpr std::string_view kAbbreviations =
    " mr mrs ms dr prof st mt gen col capt lt sgt maj rev hon sen gov rep pres "
    "messrs mme mmes mlle sr sra srta dra dott sig ing fig vol no nos nr vs cf "
    "approx inc ltd co corp jan feb mar apr jun jul aug sept sep oct nov dec "
    "e.g i.e p.ej ex al ed eds pp ";

// Does the sentence that ends at `at` end in an abbreviation or an initial?
bool ends_in_abbreviation(std::string_view text, size_t at) {
  while (at > 0 && is_space(static_cast<unsigned char>(text[at - 1]))) {
    --at;
  }
  if (at == 0 || text[at - 1] != '.') {
    return false;
  }
  size_t end = at - 1;
  size_t begin = end;
  while (begin > 0 && end - begin < 8) {
    auto c = static_cast<unsigned char>(text[begin - 1]);
    if (c >= 0x80 || (!is_alpha(c) && c != '.')) {
      break;
    }
    --begin;
  }
  std::string word(text.substr(begin, end - begin));
  bool initial = word.size() == 1 && is_upper(static_cast<char32_t>(word[0])) &&
      word != "I";
  for (char& c : word) {
    c = static_cast<char>(to_lower(static_cast<unsigned char>(c)));
  }
  return initial ||
      (!word.empty() &&
       kAbbreviations.find(" " + word + " ") != std::string_view::npos);
}

const char* icu_locale(Language language) {
  return language == Language::ja ? "ja"
      : language == Language::zh  ? "zh"
                                  : "en";
}

} // namespace

class ChunkStream::Sentences {
 public:
  explicit Sentences(Language language) {
    UErrorCode status = U_ZERO_ERROR;
    iterator_.reset(
        icu::BreakIterator::createSentenceInstance(
            icu::Locale(icu_locale(language)), status));
    if (U_FAILURE(status) || !iterator_) {
      throw Error(
          ErrorKind::internal,
          std::string("ICU cannot split sentences: ") + u_errorName(status));
    }
  }

  /// Byte offsets at which sentences end in the first `window` bytes, without
  /// the window's own end.
  std::vector<size_t> ends(std::string_view whole, size_t window) {
    std::vector<size_t> out;
    std::string_view text = whole.substr(0, window);
    auto string = icu::UnicodeString::fromUTF8(
        icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
    iterator_->setText(string);
    size_t bytes = 0;
    int32_t units = 0;
    for (int32_t at = iterator_->next(); at != icu::BreakIterator::DONE;
         at = iterator_->next()) {
      for (; units < at && bytes < text.size(); ++units) {
        char32_t c = decode_utf8(text, bytes);
        units += c >= 0x10000; // two UTF-16 units
      }
      if (bytes < text.size() && markup_around(whole, bytes) == 0 &&
          !ends_in_abbreviation(text, bytes)) {
        out.push_back(bytes);
      }
    }
    return out;
  }

 private:
  std::unique_ptr<icu::BreakIterator> iterator_;
};

ChunkStream::ChunkStream(
    TextReader reader,
    Phonemizer& phonemizer,
    const SplitOptions& options)
    : reader_(std::move(reader)),
      phonemizer_(phonemizer),
      options_(options),
      sentences_(std::make_unique<Sentences>(phonemizer.language())) {
  if (options_.max_phonemes == 0) {
    throw Error(ErrorKind::invalid_argument, "max_phonemes is 0");
  }
  options_.target_phonemes =
      std::clamp<size_t>(options_.target_phonemes, 1, options_.max_phonemes);
  size_t first = options_.first_chunk_phonemes;
  target_ = first == 0 ? options_.target_phonemes
                       : std::min(first, options_.max_phonemes);
}

ChunkStream::ChunkStream(
    std::string_view text,
    Phonemizer& phonemizer,
    const SplitOptions& options)
    : ChunkStream(
          [text, at = size_t(0)](char* buffer, size_t size) mutable {
            size_t n = std::min(size, text.size() - at);
            std::memcpy(buffer, text.data() + at, n);
            at += n;
            return n;
          },
          phonemizer,
          options) {
  check_text(text);
  if (is_blank(text)) {
    throw Error(
        ErrorKind::invalid_argument,
        "there is nothing to speak: the text is blank");
  }
  checked_ = true;
}

ChunkStream::~ChunkStream() = default;

void ChunkStream::refill(size_t wanted) {
  while (buffer_.size() < wanted && !end_of_source_) {
    char bytes[4096];
    size_t n = reader_(bytes, sizeof bytes);
    end_of_source_ = n == 0;
    partial_.append(bytes, std::min(n, sizeof bytes));
    // A code point that is cut off waits for its rest.
    size_t whole = partial_.size();
    if (!end_of_source_) {
      size_t start = whole;
      while (start > 0 && whole - start < 3 &&
             (partial_[start - 1] & 0xc0) == 0x80) {
        --start;
      }
      auto lead = start > 0 ? static_cast<unsigned char>(partial_[start - 1])
                            : static_cast<unsigned char>(0);
      size_t length = lead >= 0xf0 ? 4
          : lead >= 0xe0           ? 3
          : lead >= 0xc0           ? 2
                                   : 1;
      if (start > 0 && lead >= 0xc0 && whole - (start - 1) < length) {
        whole = start - 1;
      }
    }
    std::string_view fresh = std::string_view(partial_).substr(0, whole);
    if (!checked_) {
      check_text(fresh, base_ + buffer_.size());
    }
    buffer_ += fresh;
    partial_.erase(0, whole);
  }
}

// Where the paragraph or line at the start of the buffer ends, npos if not in
// the buffer. `behind` is where the next one starts.
size_t ChunkStream::find_paragraph_end(Border& kind, size_t& behind) const {
  size_t line = 0;
  for (size_t at = buffer_.find_first_of("\n\r"); at != std::string::npos;
       at = buffer_.find_first_of("\n\r", at)) {
    size_t feeds = 0;
    size_t next = at;
    while (next < buffer_.size() &&
           std::strchr("\n\r\t ", buffer_[next]) != nullptr) {
      bool pair = buffer_[next] == '\r' && buffer_[next + 1] == '\n';
      feeds += !pair && (buffer_[next] == '\n' || buffer_[next] == '\r');
      ++next;
    }
    std::string_view text(buffer_);
    size_t length = count_code_points(text.substr(line, at - line));
    bool wrapped = length >= kWrappedLine && length <= kWrappedLineMost;
    size_t inside = markup_around(text, at);
    if (inside == 0 && (feeds > 1 || !wrapped)) {
      kind = feeds > 1 ? Border::paragraph : Border::line;
      behind = next;
      return at;
    }
    line = next;
    at = std::max(next, inside);
  }
  return std::string::npos;
}

// Pronounces the next piece of the buffer. False at the end of the source.
bool ChunkStream::read_block() {
  size_t limit = blocks_ == 0 ? kFirstBlock : kBlock;
  size_t blank = 0;
  refill(2 * limit);
  while (true) {
    blank = std::min(buffer_.find_first_not_of(" \t\r\n"), buffer_.size());
    buffer_.erase(0, blank);
    base_ += blank;
    if (!buffer_.empty() || end_of_source_) {
      break;
    }
    refill(2 * limit);
  }
  refill(2 * limit);
  if (buffer_.empty()) {
    return false;
  }
  Border border = Border::paragraph;
  size_t behind = buffer_.size();
  size_t end = find_paragraph_end(border, behind);
  if (end == std::string::npos && end_of_source_) {
    end = buffer_.size();
  }
  size_t window = std::min({end, buffer_.size(), 2 * limit});
  window = code_point_start(buffer_, window);
  std::string_view text(buffer_);
  std::vector<size_t> ends = sentences_->ends(text, window);
  if (end > limit) {
    // Too long: the last sentence that fits, else the next one, else a word.
    border = Border::sentence;
    size_t cut = 0;
    for (size_t at : ends) {
      if (at <= limit || cut == 0) {
        cut = at;
      }
    }
    if (cut == 0 && window < end) {
      border = Border::word;
      size_t blank_at = text.substr(0, window).find_last_of(" \t\n");
      cut = blank_at == std::string_view::npos || blank_at == 0 ? window
                                                                : blank_at;
      size_t inside = markup_around(text, cut);
      cut = inside != 0 && inside <= buffer_.size() ? inside : cut;
      border = blank_at == std::string_view::npos ? Border::none : border;
    }
    if (cut != 0) {
      end = cut;
      behind = cut;
    } else {
      border = Border::paragraph; // one long sentence that ends in the window
      behind = std::max(behind, end);
    }
  }
  std::string block = buffer_.substr(0, end);
  while (!ends.empty() && ends.back() >= end) {
    ends.pop_back();
  }
  ++blocks_;
  size_t base = base_;
  buffer_.erase(0, behind);
  base_ += behind;
  if (!is_blank(block)) {
    add_tokens(phonemizer_.phonemize(block), base, ends, border);
  } else if (!items_.empty()) {
    items_.back().border = std::max(items_.back().border, border);
  }
  return true;
}

void ChunkStream::add_tokens(
    std::vector<PhonemeToken> tokens,
    size_t base,
    const std::vector<size_t>& sentence_ends,
    Border end) {
  auto sentence = sentence_ends.begin();
  for (size_t i = 0; i < tokens.size(); ++i) {
    PhonemeToken& token = tokens[i];
    bool last = i + 1 == tokens.size();
    Border border = last ? end : Border::none;
    while (sentence != sentence_ends.end() && *sentence < token.end) {
      ++sentence;
    }
    bool ends_sentence = !last && sentence != sentence_ends.end() &&
        *sentence <= tokens[i + 1].begin;
    if (ends_sentence) {
      border = Border::sentence;
    } else if (!last && token.space_after) {
      std::u32string mark = to_u32(token.phonemes);
      bool clause = !mark.empty() &&
          kClauseMarks.find(mark.back()) != std::u32string_view::npos;
      border = clause ? Border::clause : Border::word;
    }
    if (last && end != Border::none) {
      token.space_after = true; // a line feed or blank follows
    }
    token.begin += base;
    token.end += base;
    push(std::move(token), border);
  }
}

// A token too long for any chunk is cut at its blanks, else anywhere.
void ChunkStream::push(PhonemeToken token, Border border) {
  size_t size = count_code_points(token.phonemes);
  size_t most = std::max<size_t>(options_.max_phonemes, 2) - 1;
  if (size <= most) {
    size += token.space_after ? 1 : 0;
    items_.push_back({std::move(token), size, border});
    return;
  }
  std::u32string all = to_u32(token.phonemes);
  size_t from = 0;
  while (from < all.size()) {
    size_t n = std::min(most, all.size() - from);
    if (from + n < all.size()) {
      size_t blank = all.rfind(U' ', from + n);
      n = blank != std::u32string::npos && blank > from ? blank - from : n;
    }
    bool last = from + n >= all.size();
    bool blank = !last && all[from + n] == U' ';
    PhonemeToken part;
    part.text = from == 0 ? token.text : "";
    part.phonemes = to_utf8(std::u32string_view(all).substr(from, n));
    part.space_after = last ? token.space_after : blank;
    // Bytes in proportion, so that spans still rise.
    size_t bytes = token.end - token.begin;
    part.begin = token.begin + bytes * from / all.size();
    part.end =
        token.begin + bytes * std::min(from + n, all.size()) / all.size();
    items_.push_back(
        {part,
         n + part.space_after,
         last        ? border
             : blank ? Border::word
                     : Border::none});
    from += n + (blank ? 1 : 0);
  }
}

// How many items make the next chunk, given that items_ reaches a paragraph's
// end or holds more than fits.
size_t ChunkStream::choose_cut(size_t target, bool first) const {
  size_t best[static_cast<size_t>(Border::paragraph) + 1] = {};
  size_t sentence_beyond = 0; // first sentence end past the target
  size_t phrase = 0; // last word border before a word that starts a phrase
  size_t size = 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    size_t spoken = size + item.size - item.token.space_after;
    if (spoken > options_.max_phonemes && i > 0) {
      break;
    }
    size += item.size;
    if (item.border >= Border::line) {
      if (spoken <= target + std::min(kShortRest, target / 4) ||
          (!first && sentence_beyond == 0 && best[3] == 0)) {
        return i + 1; // all the rest of the paragraph
      }
      break;
    }
    if (spoken > target) {
      if (item.border == Border::sentence && sentence_beyond == 0) {
        sentence_beyond = i + 1;
      }
      if (!first && spoken <= options_.max_phonemes) {
        // clauses and words up to the limit, should no sentence end come
        best[static_cast<size_t>(item.border)] = item.border == Border::sentence
            ? best[static_cast<size_t>(Border::sentence)]
            : i + 1;
      }
      continue;
    }
    best[static_cast<size_t>(item.border)] = i + 1;
    if (item.border == Border::word && i + 1 < items_.size() &&
        2 * spoken >= target) {
      std::string next = " " + items_[i + 1].token.text + " ";
      phrase =
          kPhraseStarts.find(next) != std::string_view::npos ? i + 1 : phrase;
    }
  }
  size_t sentence = best[static_cast<size_t>(Border::sentence)];
  size_t clause = best[static_cast<size_t>(Border::clause)];
  size_t word = best[static_cast<size_t>(Border::word)];
  size_t any = std::max(best[static_cast<size_t>(Border::none)], word);
  if (sentence != 0) {
    return sentence;
  }
  if (first) {
    size_t border = clause != 0 ? clause : phrase != 0 ? phrase : word;
    return border != 0         ? border
        : sentence_beyond != 0 ? sentence_beyond
        : any != 0             ? any
                               : 1;
  }
  if (sentence_beyond != 0) {
    return sentence_beyond;
  }
  return clause != 0 ? clause : word != 0 ? word : any != 0 ? any : 1;
}

TextChunk ChunkStream::take(size_t count) {
  TextChunk chunk;
  chunk.begin = items_.front().token.begin;
  Border border = Border::none;
  for (size_t i = 0; i < count; ++i) {
    border = items_.front().border;
    chunk.tokens.push_back(std::move(items_.front().token));
    items_.pop_front();
  }
  chunk.end = chunk.tokens.back().end;
  chunk.phonemes = join_phonemes(chunk.tokens);
  chunk.phonemes.erase(
      0,
      std::min(chunk.phonemes.find_first_not_of(' '), chunk.phonemes.size()));
  chunk.phonemes.resize(chunk.phonemes.find_last_not_of(' ') + 1);
  chunk.pause_after = border == Border::paragraph ? options_.paragraph_pause
      : border == Border::line                    ? options_.line_pause
      : border == Border::sentence                ? options_.sentence_pause
                                                  : 0.0;
  return chunk;
}

std::optional<TextChunk> ChunkStream::next() {
  while (true) {
    // Enough to choose from: a paragraph's end, or more than one chunk.
    bool first = chunks_ == 0 && options_.first_chunk_phonemes != 0;
    size_t wanted = first ? 2 * target_ : options_.max_phonemes + kShortRest;
    auto enough = [&] {
      size_t size = 0;
      for (const Item& item : items_) {
        size += item.size;
        if (item.border >= Border::line || size > wanted) {
          return true;
        }
      }
      return false;
    };
    while (!enough() && read_block()) {
    }
    if (items_.empty()) {
      if (chunks_ == 0) {
        throw Error(
            ErrorKind::invalid_argument,
            "there is nothing to speak in the text");
      }
      return {};
    }
    TextChunk chunk = take(choose_cut(target_, first));
    if (!speakable(chunk.phonemes)) {
      continue;
    }
    ++chunks_;
    target_ = std::min(2 * target_, options_.target_phonemes);
    if (items_.empty()) {
      // Was this the last one? Then nothing follows to pause for.
      while (items_.empty() && read_block()) {
      }
      if (items_.empty()) {
        chunk.pause_after = 0;
      }
    }
    return chunk;
  }
}

namespace {

class PhonemeReader : public Phonemizer {
 public:
  explicit PhonemeReader(Language language) : language_(language) {}

  Language language() const override {
    return language_;
  }

  std::vector<PhonemeToken> phonemize(std::string_view text) override {
    check_text(text);
    if (is_blank(text)) {
      throw Error(
          ErrorKind::invalid_argument,
          "there is nothing to speak: the text is blank");
    }
    std::vector<PhonemeToken> out;
    bool in_word = false;
    bool after_mark = false; // of a script without blanks
    for (size_t pos = 0; pos < text.size();) {
      size_t at = pos;
      char32_t c = decode_utf8(text, pos);
      bool mark = (c >= 0x3001 && c <= 0x301b) || (c >= 0xff01 && c <= 0xff1f);
      in_word = in_word && (mark || !after_mark);
      after_mark = mark;
      if (is_space(c)) {
        in_word = false;
        if (!out.empty()) {
          out.back().space_after = true;
        }
        continue;
      }
      if (!in_word) {
        out.push_back({"", "", false, at, at});
      }
      in_word = true;
      out.back().end = pos;
      out.back().phonemes += text.substr(at, pos - at);
    }
    for (PhonemeToken& token : out) {
      token.text = token.phonemes;
    }
    return out;
  }

 private:
  Language language_;
};

} // namespace

std::unique_ptr<Phonemizer> make_phoneme_reader(Language language) {
  return std::make_unique<PhonemeReader>(language);
}

} // namespace mlx_audio::text
