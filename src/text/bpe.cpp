#include "text/bpe.h"

#include <algorithm>
#include <limits>
#include <queue>

#include <unicode/normalizer2.h>
#include <unicode/unistr.h>

#include "mlx_audio/error.h"

namespace mlx_audio::text {

BpeTokenizer::BpeTokenizer(BpeSpec spec)
    : spec_(std::move(spec)), splitter_(spec_.pattern) {
  ids_.reserve(spec_.tokens.size());
  for (size_t i = 0; i < spec_.tokens.size(); ++i) {
    if (!spec_.tokens[i].empty()) {
      ids_.emplace(spec_.tokens[i], static_cast<int>(i));
    }
  }
  size_ = static_cast<int>(spec_.tokens.size());
  for (int b = 0; b < 256; ++b) {
    char c = static_cast<char>(b);
    auto found = ids_.find(std::string_view(&c, 1));
    byte_ids_[b] = found == ids_.end() ? -1 : found->second;
  }
  merges_.reserve(spec_.merges.size());
  for (size_t i = 0; i < spec_.merges.size(); ++i) {
    const auto& m = spec_.merges[i];
    auto key = static_cast<uint64_t>(static_cast<uint32_t>(m.left)) << 32 |
        static_cast<uint32_t>(m.right);
    merges_.emplace(key, Target{static_cast<int>(i), m.merged});
  }
  for (size_t i = 0; i < spec_.specials.size(); ++i) {
    special_ids_.emplace(spec_.specials[i].id, i);
    size_ = std::max(size_, spec_.specials[i].id + 1);
  }
}

std::optional<BpeTokenizer::Target> BpeTokenizer::merge(int left, int right)
    const {
  if (spec_.merges.empty()) {
    std::string joined = spec_.tokens[static_cast<size_t>(left)] +
        spec_.tokens[static_cast<size_t>(right)];
    auto found = ids_.find(joined);
    if (found == ids_.end()) {
      return std::nullopt;
    }
    return Target{found->second, found->second};
  }
  auto found = merges_.find(
      static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
      static_cast<uint32_t>(right));
  if (found == merges_.end()) {
    return std::nullopt;
  }
  return found->second;
}

// Merges the best pair until none is left: a linked list of symbols and a heap
// of candidates, so that a piece of n bytes costs n log n.
void BpeTokenizer::encode_piece(std::string_view piece, std::vector<int>& out)
    const {
  auto whole = ids_.find(piece);
  if (whole != ids_.end() && (spec_.ignore_merges || piece.size() == 1)) {
    out.push_back(whole->second);
    return;
  }
  struct Symbol {
    int id;
    int previous;
    int next;
  };
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (char c : piece) {
    int id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) { // a vocabulary without this byte cannot say it
      int at = static_cast<int>(symbols.size());
      symbols.push_back({id, at - 1, at + 1});
    }
  }
  if (symbols.empty()) {
    return;
  }
  symbols.back().next = -1;
  struct Candidate {
    int priority;
    int at;
    int left;
    int right;
    int merged;
    bool operator<(const Candidate& o) const {
      return priority != o.priority ? priority > o.priority : at > o.at;
    }
  };
  std::priority_queue<Candidate> queue;
  auto offer = [&](int at) {
    if (at < 0 || symbols[static_cast<size_t>(at)].next < 0) {
      return;
    }
    const auto& a = symbols[static_cast<size_t>(at)];
    int right = symbols[static_cast<size_t>(a.next)].id;
    if (auto target = merge(a.id, right)) {
      queue.push({target->priority, at, a.id, right, target->merged});
    }
  };
  for (int i = 0; i < static_cast<int>(symbols.size()); ++i) {
    offer(i);
  }
  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    auto& a = symbols[static_cast<size_t>(best.at)];
    if (a.id != best.left || a.next < 0 ||
        symbols[static_cast<size_t>(a.next)].id != best.right) {
      continue; // one of the two is gone
    }
    auto& b = symbols[static_cast<size_t>(a.next)];
    a.id = best.merged;
    a.next = b.next;
    b.id = -1;
    if (a.next >= 0) {
      symbols[static_cast<size_t>(a.next)].previous = best.at;
    }
    offer(a.previous);
    offer(best.at);
  }
  for (int i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    out.push_back(symbols[static_cast<size_t>(i)].id);
  }
}

void BpeTokenizer::encode_text(std::string_view text, std::vector<int>& out)
    const {
  std::string normalized;
  if (spec_.normalize_nfc) {
    UErrorCode status = U_ZERO_ERROR;
    const auto* nfc = icu::Normalizer2::getNFCInstance(status);
    if (U_SUCCESS(status)) {
      auto source = icu::UnicodeString::fromUTF8(
          {text.data(), static_cast<int32_t>(text.size())});
      nfc->normalize(source, status).toUTF8String(normalized);
      text = normalized;
    }
  }
  for (auto piece : splitter_.split(text)) {
    encode_piece(piece, out);
  }
}

std::vector<int> BpeTokenizer::encode(
    std::string_view text,
    bool parse_specials /* = false */) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int>::max()) / 4) {
    throw Error(
        ErrorKind::too_large,
        "text of " + std::to_string(text.size()) + " bytes to tokenize");
  }
  std::vector<int> out;
  size_t from = 0;
  while (parse_specials) {
    size_t at = std::string_view::npos;
    const BpeSpec::Special* first = nullptr;
    for (const auto& special : spec_.specials) {
      if (special.content.empty()) {
        continue;
      }
      size_t found = text.find(special.content, from);
      // At one place the longest wins.
      if (found < at ||
          (found == at && first != nullptr &&
           special.content.size() > first->content.size())) {
        at = found;
        first = &special;
      }
    }
    if (first == nullptr || at == std::string_view::npos) {
      break;
    }
    encode_text(text.substr(from, at - from), out);
    out.push_back(first->id);
    from = at + first->content.size();
  }
  encode_text(text.substr(from), out);
  return out;
}

std::string BpeTokenizer::decode(
    std::span<const int> ids,
    bool skip_specials /* = true */) const {
  std::string out;
  for (int id : ids) {
    auto special = special_ids_.find(id);
    if (special == special_ids_.end()) {
      out += token(id);
    } else if (!skip_specials) {
      out += spec_.specials[special->second].content;
    }
  }
  return out;
}

std::string_view BpeTokenizer::token(int id) const {
  if (id < 0 || static_cast<size_t>(id) >= spec_.tokens.size()) {
    return {};
  }
  return spec_.tokens[static_cast<size_t>(id)];
}

std::optional<int> BpeTokenizer::find(std::string_view bytes) const {
  auto found = ids_.find(bytes);
  if (found == ids_.end()) {
    return std::nullopt;
  }
  return found->second;
}

std::optional<int> BpeTokenizer::special(std::string_view content) const {
  for (const auto& special : spec_.specials) {
    if (special.content == content) {
      return special.id;
    }
  }
  return std::nullopt;
}

std::string valid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  size_t i = 0;
  while (i < bytes.size()) {
    auto lead = static_cast<unsigned char>(bytes[i]);
    size_t length = lead < 0x80       ? 1
        : lead >= 0xc2 && lead < 0xe0 ? 2
        : lead >= 0xe0 && lead < 0xf0 ? 3
        : lead >= 0xf0 && lead < 0xf5 ? 4
                                      : 0;
    size_t good = length == 0 ? 0 : 1;
    for (; good != 0 && good < length && i + good < bytes.size(); ++good) {
      auto c = static_cast<unsigned char>(bytes[i + good]);
      // The second byte rules out overlong forms, surrogates and > U+10FFFF.
      unsigned low = good != 1 ? 0x80
          : lead == 0xe0       ? 0xa0
          : lead == 0xf0       ? 0x90
                               : 0x80;
      unsigned high = good != 1 ? 0xbf
          : lead == 0xed        ? 0x9f
          : lead == 0xf4        ? 0x8f
                                : 0xbf;
      if (c < low || c > high) {
        break;
      }
    }
    if (length != 0 && good == length) {
      out += bytes.substr(i, length);
      i += length;
    } else if (length != 0 && i + good == bytes.size()) {
      break; // the rest of the character may still come
    } else {
      out += "\xef\xbf\xbd";
      i += std::max<size_t>(good, 1);
    }
  }
  return out;
}

} // namespace mlx_audio::text
