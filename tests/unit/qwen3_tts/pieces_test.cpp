#include "models/pieces.h"

#include <gtest/gtest.h>

#include "text/unicode.h"

namespace mlx_audio {
namespace {

int characters(std::string_view text) {
  return static_cast<int>(text::count_code_points(text));
}

std::vector<std::string> split(const std::string& text, int whole, int most) {
  std::vector<std::string> parts;
  for (const auto& p : split_pieces(text, characters, whole, most)) {
    parts.push_back(text.substr(p.begin, p.end - p.begin));
  }
  return parts;
}

using Parts = std::vector<std::string>;

TEST(Pieces, ShortTextStaysWholeWithoutBlanksAround) {
  EXPECT_EQ(split("  Hello. There. \n", 50, 10), Parts{"Hello. There."});
  EXPECT_EQ(split(" \n\t ", 50, 10), Parts{});
  EXPECT_EQ(split("", 50, 10), Parts{});
}

TEST(Pieces, CutsBehindSentencesOfAnyScript) {
  EXPECT_EQ(
      split("One two. Three four. Five.", 10, 12),
      (Parts{"One two.", "Three four.", "Five."}));
  EXPECT_EQ(
      split("今天天气好。我们走吧。再见！", 6, 12),
      (Parts{"今天天气好。我们走吧。", "再见！"}));
}

TEST(Pieces, LongSentencesAreCutBehindWordsThenCharacters) {
  for (const auto& part : split("aaa bbb ccc ddd eee fff", 4, 9)) {
    EXPECT_LE(characters(part), 9);
    EXPECT_NE(part.front(), ' ');
  }
  auto parts = split(std::string(25, 'x'), 4, 10);
  std::string joined;
  for (const auto& part : parts) {
    EXPECT_LE(part.size(), 10u);
    joined += part;
  }
  EXPECT_EQ(joined, std::string(25, 'x'));
}

TEST(Pieces, NothingIsLost) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += "Sentence number " + std::to_string(i) + ", यह हिंदी है। 好的。 ";
  }
  auto strip = [](const std::string& s) {
    std::string out;
    for (char c : s) {
      if (c != ' ') {
        out += c;
      }
    }
    return out;
  };
  std::string joined;
  for (const auto& part : split(text, 20, 30)) {
    EXPECT_LE(characters(part), 30);
    joined += part;
  }
  EXPECT_EQ(strip(joined), strip(text));
}

} // namespace
} // namespace mlx_audio
