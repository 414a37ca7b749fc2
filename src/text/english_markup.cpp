#include "text/english_phonemizer.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

std::string_view trim_right(std::string_view text, char c) {
  while (!text.empty() && text.back() == c) {
    text.remove_suffix(1);
  }
  return text;
}

// What stands in the round brackets; false if it is not markup of ours.
bool read_feature(std::string_view f, Markup& out) {
  bool sign = !f.empty() && (f[0] == '+' || f[0] == '-');
  std::string_view digits = f.substr(sign ? 1 : 0);
  if (!digits.empty() && digits.size() < 4 &&
      digits.find_first_not_of("0123456789") == std::string_view::npos) {
    double value = std::stoi(std::string(digits));
    out.stress = f[0] == '-' ? -value : value;
  } else if (f == "0.5" || f == "+0.5" || f == "-0.5") {
    out.stress = f[0] == '-' ? -0.5 : 0.5;
  } else if (f.size() > 1 && f.front() == '/' && f.back() == '/') {
    std::string_view p = trim_right(f.substr(1), '/');
    p.remove_prefix(std::min(p.find_first_not_of('/'), p.size()));
    out.phonemes = to_u32(p);
  } else if (f.size() > 1 && f.front() == '#' && f.back() == '#') {
    out.number_flags = trim_right(f.substr(1), '#');
  } else {
    return false;
  }
  return true;
}

} // namespace

CleanText read_markup(std::string_view text) {
  CleanText out;
  auto put = [&](size_t begin, size_t end) {
    for (size_t pos = begin; pos < end;) {
      size_t at = pos;
      char32_t c = decode_utf8(text, pos);
      if (c == 0xfeff || c == 0x200b || c == 0xad) {
        continue; // byte order mark, zero-width blank, soft hyphen
      }
      if (is_space(c)) {
        if (!out.text.empty() && out.text.back() != ' ') {
          out.text += ' ';
          out.source.push_back(at);
        }
        continue;
      }
      for (size_t i = at; i < pos; ++i) {
        out.text += text[i];
        out.source.push_back(i);
      }
    }
  };
  size_t done = 0;
  for (size_t open = text.find('['); open != std::string_view::npos;
       open = text.find('[', open + 1)) {
    size_t close = text.find(']', open + 1);
    if (close == std::string_view::npos) {
      break;
    }
    if (close == open + 1 || text.substr(close + 1, 1) != "(") {
      continue;
    }
    size_t end = text.find(')', close + 2);
    if (end == std::string_view::npos) {
      break;
    }
    put(done, open);
    Markup markup{};
    markup.begin = out.text.size();
    put(open + 1, close);
    markup.end = out.text.size();
    if (read_feature(text.substr(close + 2, end - close - 2), markup)) {
      out.markup.push_back(std::move(markup));
    }
    done = end + 1;
    open = end;
  }
  put(done, text.size());
  if (!out.text.empty() && out.text.back() == ' ') {
    out.text.pop_back();
    out.source.pop_back();
  }
  out.source.push_back(text.size());
  return out;
}

} // namespace mlx_audio::text
