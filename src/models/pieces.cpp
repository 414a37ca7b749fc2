#include "models/pieces.h"

#include <memory>

#include <unicode/brkiter.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include "mlx_audio/error.h"

namespace mlx_audio {

namespace {

enum class Unit { sentence, word, character };

// Ends of the units of `text`, in bytes; the last is its size.
std::vector<size_t> ends_of(std::string_view text, Unit unit) {
  UErrorCode status = U_ZERO_ERROR;
  const auto& root = icu::Locale::getRoot();
  std::unique_ptr<icu::BreakIterator> units(
      unit == Unit::sentence
          ? icu::BreakIterator::createSentenceInstance(root, status)
          : (unit == Unit::word
                 ? icu::BreakIterator::createWordInstance(root, status)
                 : icu::BreakIterator::createCharacterInstance(root, status)));
  UText utext = UTEXT_INITIALIZER;
  utext_openUTF8(
      &utext, text.data(), static_cast<int64_t>(text.size()), &status);
  std::vector<size_t> ends;
  if (U_SUCCESS(status)) {
    units->setText(&utext, status);
    for (int32_t end = units->next();
         U_SUCCESS(status) && end != icu::BreakIterator::DONE;
         end = units->next()) {
      ends.push_back(static_cast<size_t>(end));
    }
  }
  utext_close(&utext);
  if (U_FAILURE(status)) {
    throw Error(
        ErrorKind::internal,
        std::string("cannot segment the text: ") + u_errorName(status));
  }
  return ends;
}

// Without blanks at both ends.
TextPiece trimmed(std::string_view text, size_t begin, size_t end) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  auto at = static_cast<int32_t>(begin);
  auto stop = static_cast<int32_t>(end);
  UChar32 c = 0;
  while (at < stop) {
    int32_t next = at;
    U8_NEXT(bytes, next, stop, c);
    if (c >= 0 && !u_isUWhiteSpace(c)) {
      break;
    }
    at = next;
  }
  while (stop > at) {
    int32_t before = stop;
    U8_PREV(bytes, at, before, c);
    if (c >= 0 && !u_isUWhiteSpace(c)) {
      break;
    }
    stop = before;
  }
  return {static_cast<size_t>(at), static_cast<size_t>(stop)};
}

// Fills pieces with units of text[begin, end) as long as they fit; a unit that
// alone is too long is cut at the next smaller kind.
void fill(
    std::string_view text,
    size_t begin,
    size_t end,
    Unit unit,
    const CountTokens& count,
    int most,
    std::vector<TextPiece>& pieces) {
  size_t from = begin; // of the piece being filled
  size_t to = begin;
  auto finish = [&] {
    auto piece = trimmed(text, from, to);
    if (piece.begin < piece.end) {
      pieces.push_back(piece);
    }
    from = to;
  };
  int held = 0; // tokens in [from, to); sums of parts are close from above
  for (size_t stop : ends_of(text.substr(begin, end - begin), unit)) {
    stop += begin;
    int size = count(text.substr(to, stop - to));
    if (held > 0 && held + size > most) {
      finish();
      held = 0;
    }
    if (size > most && unit != Unit::character) {
      auto smaller = unit == Unit::sentence ? Unit::word : Unit::character;
      fill(text, to, stop, smaller, count, most, pieces);
      from = to = stop;
      continue;
    }
    to = stop;
    held += size;
  }
  finish();
}

} // namespace

std::vector<TextPiece> split_pieces(
    std::string_view text,
    const CountTokens& count,
    int whole,
    int most) {
  auto all = trimmed(text, 0, text.size());
  if (all.begin == all.end) {
    return {};
  }
  if (count(text.substr(all.begin, all.end - all.begin)) <= whole) {
    return {all};
  }
  std::vector<TextPiece> pieces;
  fill(text, all.begin, all.end, Unit::sentence, count, most, pieces);
  return pieces;
}

} // namespace mlx_audio
