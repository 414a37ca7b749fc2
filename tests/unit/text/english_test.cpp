#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "mlx_audio/error.h"
#include "text/english_numbers.h"
#include "text/english_phonemizer.h"
#include "text/phonemizer.h"

namespace mlx_audio::text {
namespace {

std::string folder() {
  return find_data_dir("") + "/g2p";
}

TEST(Numbers, AreWordedLikeNum2words) {
  EXPECT_EQ(cardinal("0"), "zero");
  EXPECT_EQ(cardinal("007"), "seven");
  EXPECT_EQ(cardinal("1100"), "one thousand, one hundred");
  EXPECT_EQ(
      cardinal("1234567"),
      "one million, two hundred and thirty-four thousand, five hundred and "
      "sixty-seven");
  EXPECT_EQ(cardinal("1000005"), "one million and five");
  EXPECT_EQ(cardinal("1" + std::string(63, '0')), "one vigintillion");
  EXPECT_EQ(cardinal(std::string(67, '1')).substr(0, 7), "one one");
  EXPECT_EQ(ordinal("1203"), "one thousand, two hundred and third");
  EXPECT_EQ(ordinal("20"), "twentieth");
  EXPECT_EQ(ordinal("1000000"), "one millionth");
  EXPECT_EQ(year("1066"), "ten sixty-six");
  EXPECT_EQ(year("1905"), "nineteen oh-five");
  EXPECT_EQ(year("2001"), "two thousand and one");
  EXPECT_EQ(year("1900"), "nineteen hundred");
  EXPECT_EQ(
      decimal("1234", "560"),
      "one thousand, two hundred and thirty-four point five six");
  EXPECT_EQ(decimal("2", "0"), "two");
}

TEST(Stress, IsRaisedAndLowered) {
  EXPECT_EQ(apply_stress(U"lˈʌv", -1), U"lˌʌv");
  EXPECT_EQ(apply_stress(U"lˈʌv", -2), U"lʌv");
  EXPECT_EQ(apply_stress(U"nˌɑt", 1), U"nˈɑt");
  EXPECT_EQ(apply_stress(U"ðə", 2), U"ðˈə");
  EXPECT_EQ(apply_stress(U"ðə", 1), U"ðˌə");
  EXPECT_EQ(apply_stress(U"hm", 2), U"hm");
}

// The tokens and tags are spaCy's own (en_core_web_sm 3.8.0).
TEST(Tagger, AgreesWithSpacy) {
  EnglishPhonemizer p(false, folder(), {});
  std::ifstream in(std::string(TEST_DATA_DIR) + "/text/spacy_tags.tsv");
  size_t tokens = 0;
  size_t lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    size_t cut = line.find('\t');
    std::string got;
    for (const auto& [word, tag] : p.tags(line.substr(0, cut))) {
      got += (got.empty() ? "" : " ") + word + "/" + tag;
      ++tokens;
    }
    EXPECT_EQ(got, line.substr(cut + 1)) << line.substr(0, cut);
  }
  EXPECT_GE(lines, 200u);
  EXPECT_GE(tokens, 1800u);
}

TEST(English, ReadsMarkup) {
  CleanText clean =
      read_markup("a [b c](/x/)\n [d](+1)[e](-0.5) [f](g) [h] (i)");
  EXPECT_EQ(clean.text, "a b c de f [h] (i)");
  ASSERT_EQ(clean.markup.size(), 3u);
  EXPECT_EQ(*clean.markup[0].phonemes, U"x");
  EXPECT_EQ(clean.markup[1].stress, 1.0);
  EXPECT_EQ(clean.markup[2].stress, -0.5);
  EXPECT_EQ(clean.source.size(), clean.text.size() + 1);
}

TEST(English, SpeaksCurrencies) {
  EnglishPhonemizer p(false, folder(), {});
  auto speak = [&](const char* text) {
    return join_phonemes(p.phonemize(text));
  };
  EXPECT_EQ(speak("$1"), "wˈʌn dˈɑləɹ");
  EXPECT_EQ(speak("$3.5"), speak("$3.50")); // misaki: five cents
  EXPECT_EQ(speak("$0.01"), "wˈʌn sˈɛnt");
  EXPECT_EQ(speak("£2.20"), "tˈu pˈWndz ænd twˈɛnti pˈɛns");
  EXPECT_EQ(speak("$0"), "zˈɪɹO dˈɑləɹz");
}

TEST(English, SurvivesHugeNumbersAndWords) {
  EnglishPhonemizer p(true, folder(), {});
  for (const std::string& text :
       {std::string(2000, '9'),
        "$" + std::string(300, '9') + ".99",
        std::string(300, '1') + "th",
        std::string(5000, 'a'),
        std::string(2000, '-') + "a",
        [] {
          std::string s;
          for (int i = 0; i < 500; ++i) {
            s += "aB2'-";
          }
          return s;
        }()}) {
    EXPECT_FALSE(p.phonemize(text).empty());
  }
}

TEST(DataFiles, AreChecked) {
  namespace fs = std::filesystem;
  fs::path broken = fs::path(testing::TempDir()) / "broken_g2p";
  for (const char* name : {"en_us.bin", "en_tagger.bin"}) {
    fs::remove_all(broken);
    fs::create_directories(broken);
    for (const char* file : {"en_us.bin", "en_tagger.bin"}) {
      fs::copy_file(folder() + "/" + file, broken / file);
    }
    auto load = [&] { EnglishPhonemizer p(false, broken.string(), {}); };
    EXPECT_NO_THROW(load());
    for (uintmax_t size : {0u, 8u, 15u, 40u, 700u, 100000u}) {
      fs::resize_file(broken / name, size);
      EXPECT_THROW(load(), Error) << name << " " << size;
    }
    std::ofstream(broken / name) << std::string(4096, '\xff');
    EXPECT_THROW(load(), Error);
    fs::remove(broken / name);
    EXPECT_THROW(load(), Error);
  }
  fs::remove_all(broken);
}

} // namespace
} // namespace mlx_audio::text
