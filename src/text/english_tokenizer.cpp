#include "text/english_tokenizer.h"

#include <algorithm>

#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

// Chunks are what lies between white space. Longer ones than this hold no
// words; the patterns are not run on them, so that their cost stays bounded.
constexpr size_t kLongestChunk = 1000;
constexpr size_t kCacheEntries = 20000;

} // namespace

EnglishTokenizer::EnglishTokenizer(const SectionFile& file)
    : rules_(file, "rules"),
      prefix_(file.bytes("prefix"), "prefix"),
      suffix_(file.bytes("suffix"), "suffix"),
      infix_(file.bytes("infix"), "infix"),
      url_(file.bytes("url"), "url") {
  StringTable torn(file, "torn");
  for (size_t i = 0; i < torn.size(); ++i) {
    std::vector<std::string> words;
    std::string_view rest = torn.entry(i).second;
    while (true) {
      size_t cut = rest.find('\x1f');
      words.emplace_back(rest.substr(0, cut));
      if (cut == std::string_view::npos) {
        break;
      }
      rest.remove_prefix(cut + 1);
    }
    torn_[words.front()].push_back(std::move(words));
  }
}

// A rule's value is a sequence of (length, word, length, norm).
bool EnglishTokenizer::add_exception(
    std::string_view word,
    size_t at,
    Pieces& out) const {
  std::string_view value = rules_.find(word);
  if (value.data() == nullptr) {
    return false;
  }
  auto take = [&]() -> std::string_view {
    size_t n = value.empty() ? 0 : static_cast<unsigned char>(value[0]);
    if (value.size() < 1 + n) {
      value = {};
      return {};
    }
    std::string_view field = value.substr(1, n);
    value.remove_prefix(1 + n);
    return field;
  };
  size_t end = at + word.size();
  while (!value.empty() && at < end) {
    std::string_view part = take();
    std::string_view norm = take();
    size_t stop = std::min(end, at + part.size());
    out.push_back(
        {static_cast<uint32_t>(at), static_cast<uint32_t>(stop), norm});
    at = stop;
  }
  return true;
}

EnglishTokenizer::Pieces EnglishTokenizer::split_chunk(
    std::string_view chunk,
    bool exceptions) {
  constexpr size_t npos = std::string_view::npos;
  Pieces out;
  auto push = [](Pieces& to, size_t begin, size_t end) {
    if (begin < end) {
      to.push_back(
          {static_cast<uint32_t>(begin), static_cast<uint32_t>(end), {}});
    }
  };
  auto is_exception = [&](size_t begin, size_t end) {
    return exceptions && begin < end &&
        rules_.find(chunk.substr(begin, end - begin)).data() != nullptr;
  };
  if (chunk.size() > kLongestChunk) {
    push(out, 0, chunk.size());
    return out;
  }
  size_t begin = 0;
  size_t end = chunk.size();
  Pieces suffixes; // outermost first
  size_t last = 0;
  while (begin < end && end - begin != last && !is_exception(begin, end)) {
    std::string_view word = chunk.substr(begin, end - begin);
    last = word.size();
    size_t pre = prefix_.length(word);
    if (pre != 0 && is_exception(begin + pre, end)) {
      push(out, begin, begin + pre);
      begin += pre;
      break;
    }
    size_t suf = suffix_.length(word.substr(pre));
    if (suf != 0 && is_exception(begin, end - suf)) {
      push(suffixes, end - suf, end);
      end -= suf;
      break;
    }
    if (pre != 0) {
      push(out, begin, begin + pre);
      begin += pre;
    }
    if (suf != 0 && begin + suf <= end) {
      push(suffixes, end - suf, end);
      end -= suf;
    }
  }
  std::string_view word = chunk.substr(begin, end - begin);
  if (word.empty() || (exceptions && add_exception(word, begin, out))) {
    // an exception brings its own pieces
  } else if (url_.search(word).first == 0) {
    push(out, begin, end);
  } else {
    size_t start = 0;
    for (size_t from = 0; from <= word.size();) {
      auto [infix_begin, infix_end] = infix_.search(word, from);
      if (infix_begin == npos) {
        break;
      }
      from = std::max(infix_end, infix_begin + 1);
      while (from < word.size() && (word[from] & 0xc0) == 0x80) {
        ++from; // an empty match: step over the whole code point
      }
      if (infix_begin == 0) {
        continue;
      }
      push(out, begin + start, begin + infix_begin);
      push(out, begin + infix_begin, begin + infix_end);
      start = infix_end;
    }
    push(out, begin + start, end);
  }
  out.insert(out.end(), suffixes.rbegin(), suffixes.rend());
  return out;
}

void EnglishTokenizer::tokenize_chunks(
    std::string_view text,
    bool exceptions,
    std::vector<EnglishToken>& out) {
  auto flush = [&](size_t begin, size_t end) {
    std::string_view chunk = text.substr(begin, end - begin);
    const Pieces* pieces = nullptr;
    Pieces own;
    if (exceptions) {
      auto it = cache_.find(std::string(chunk));
      if (it == cache_.end()) {
        own.clear();
        if (!add_exception(chunk, 0, own)) {
          own = split_chunk(chunk, true);
        }
        if (cache_.size() >= kCacheEntries) {
          cache_.clear();
        }
        it = cache_.emplace(std::string(chunk), std::move(own)).first;
      }
      pieces = &it->second;
    } else {
      own = split_chunk(chunk, false);
      pieces = &own;
    }
    for (const Piece& piece : *pieces) {
      out.push_back(
          {begin + piece.begin, begin + piece.end, false, piece.norm});
    }
  };
  // A single blank belongs to the token before it; every other run of white
  // space is a token.
  size_t start = 0;
  bool in_space = false;
  for (size_t pos = 0; pos < text.size();) {
    size_t at = pos;
    char32_t c = decode_utf8(text, pos);
    bool space = is_space(c);
    if (at == 0) {
      in_space = space;
    } else if (space != in_space) {
      if (start < at) {
        flush(start, at);
      }
      start = at;
      if (c == ' ' && !out.empty()) {
        out.back().space = true;
        start = at + 1;
      }
      in_space = space;
    }
  }
  if (start < text.size()) {
    flush(start, text.size());
  }
}

void EnglishTokenizer::restore_torn(
    std::string_view text,
    std::vector<EnglishToken>& tokens) {
  struct Match {
    size_t begin, end;
  };
  std::vector<Match> matches;
  auto word = [&](size_t i) {
    return text.substr(tokens[i].begin, tokens[i].end - tokens[i].begin);
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    auto it = torn_.find(std::string(word(i)));
    if (it == torn_.end()) {
      continue;
    }
    for (const auto& sequence : it->second) {
      size_t n = 0;
      while (n < sequence.size() && i + n < tokens.size() &&
             word(i + n) == sequence[n]) {
        ++n;
      }
      if (n == sequence.size()) {
        matches.push_back({i, i + n});
      }
    }
  }
  if (matches.empty()) {
    return;
  }
  // Longest first, then leftmost; none may overlap a longer one.
  std::sort(matches.begin(), matches.end(), [](const auto& a, const auto& b) {
    size_t la = a.end - a.begin;
    size_t lb = b.end - b.begin;
    return la != lb ? la > lb : a.begin < b.begin;
  });
  std::vector<size_t> span_end(tokens.size(), 0);
  std::vector<bool> taken(tokens.size(), false);
  for (const Match& match : matches) {
    if (!taken[match.begin] && !taken[match.end - 1]) {
      span_end[match.begin] = match.end;
    }
    std::fill(
        taken.begin() + static_cast<std::ptrdiff_t>(match.begin),
        taken.begin() + static_cast<std::ptrdiff_t>(match.end),
        true);
  }
  std::vector<EnglishToken> out;
  out.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size();) {
    size_t end = span_end[i];
    Pieces pieces;
    if (end != 0) {
      size_t first = tokens[i].begin;
      std::string_view whole = text.substr(first, tokens[end - 1].end - first);
      if (add_exception(whole, 0, pieces)) {
        for (const Piece& piece : pieces) {
          out.push_back(
              {first + piece.begin, first + piece.end, false, piece.norm});
        }
        out.back().space = tokens[end - 1].space;
        i = end;
        continue;
      }
    }
    out.push_back(tokens[i++]);
  }
  tokens = std::move(out);
}

std::vector<EnglishToken> EnglishTokenizer::tokenize(std::string_view text) {
  std::vector<EnglishToken> tokens;
  tokenize_chunks(text, true, tokens);
  restore_torn(text, tokens);
  return tokens;
}

std::map<std::string, std::string> EnglishTokenizer::torn_exceptions() {
  std::map<std::string, std::string> out;
  for (size_t i = 0; i < rules_.size(); ++i) {
    std::string word(rules_.entry(i).first);
    if (prefix_.length(word) == 0 && suffix_.length(word) == 0 &&
        infix_.length(word) == 0 && word.find(' ') == std::string::npos) {
      continue;
    }
    std::vector<EnglishToken> tokens;
    tokenize_chunks(word, false, tokens);
    std::string joined;
    for (const EnglishToken& token : tokens) {
      joined += joined.empty() ? "" : "\x1f";
      joined += word.substr(token.begin, token.end - token.begin);
    }
    if (!joined.empty()) {
      out[word] = joined;
    }
  }
  return out;
}

} // namespace mlx_audio::text
