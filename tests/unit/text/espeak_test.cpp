#include "text/espeak.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "mlx_audio/error.h"
#include "text/phonemizer.h"

namespace mlx_audio::text {
namespace {

// A program of ours in eSpeak's place.
class Script {
 public:
  explicit Script(const std::string& body)
      : path_(
            testing::TempDir() + "espeak_script_" +
            std::to_string(::getpid())) {
    std::ofstream(path_) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path_.c_str(), 0755);
  }
  ~Script() {
    std::filesystem::remove(path_);
  }
  const std::string& path() const {
    return path_;
  }

 private:
  std::string path_;
};

std::string failure(Espeak& espeak) {
  try {
    espeak.phonemes({"hello"});
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unavailable);
    return e.what();
  }
  return "answered";
}

void expect_no_children() {
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
}

TEST(Espeak, AnswersLineByLine) {
  Espeak espeak("espeak-ng", "en-us", 10);
  auto ipa = espeak.phonemes({"hello", "", "world wide", "-", "a...b", "x"});
  ASSERT_EQ(ipa.size(), 6u);
  EXPECT_EQ(ipa[0], "həlˈo^ʊ");
  EXPECT_EQ(ipa[1], "");
  EXPECT_EQ(ipa[2], "wˈɜːld wˈa^ɪd");
  EXPECT_EQ(ipa[3], "");
  EXPECT_EQ(ipa[4], "ˈe^ɪ bˈiː"); // two clauses
  EXPECT_EQ(ipa[5], "ˈɛks");
}

// What a user writes reaches neither a shell nor eSpeak's own syntax.
TEST(Espeak, TakesTextAsText) {
  Espeak espeak("espeak-ng", "en-us", 10);
  auto plain = espeak.phonemes({"x", "t k p t", "a b"});
  auto odd = espeak.phonemes({"x\n", "t\nk\np\nt", "[[a\n[[ b ]]\n"});
  EXPECT_EQ(odd[0], plain[0]);
  EXPECT_EQ(odd[1], plain[1]);
  EXPECT_EQ(odd[2], plain[2]);
  EXPECT_EQ(espeak.phonemes({"[[t@k@p@t]]"}).size(), 1u);
  EXPECT_NE(espeak.phonemes({"[[t@k@p@t]]"})[0], "təkəpˈət");
  EXPECT_EQ(espeak.phonemes({"after"})[0], "ˈæftɚ");
  EXPECT_FALSE(
      espeak.phonemes({"$(touch /tmp/x) `id` ; --version"})[0].empty());
}

TEST(Espeak, TakesLongLines) {
  Espeak espeak("espeak-ng", "it", 20);
  std::string line;
  for (int i = 0; i < 500; ++i) {
    line += "ciao ";
  }
  auto ipa = espeak.phonemes({line, std::string(3000, 'a'), "è"});
  auto words = 1 + std::count(ipa[0].begin(), ipa[0].end(), ' ');
  EXPECT_EQ(words, 500);
  EXPECT_FALSE(ipa[1].empty());
  EXPECT_EQ(ipa[2], espeak.phonemes({"è"})[0]);
}

TEST(Espeak, SaysThatTheProgramIsMissing) {
  Espeak espeak("no-such-espeak", "en-us", 5);
  try {
    espeak.phonemes({"hello"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unavailable);
    EXPECT_NE(std::string(e.what()).find("no-such-espeak"), std::string::npos);
    EXPECT_NE(e.hint().find("apt install espeak-ng"), std::string::npos);
  }
  expect_no_children();
}

TEST(Espeak, RefusesAnotherProgram) {
  for (const char* body :
       {"cat", "exit 0", "echo hello; cat >/dev/null", "yes"}) {
    Script script(body);
    Espeak espeak(script.path(), "en-us", 0.5);
    EXPECT_NE(failure(espeak), "answered") << body;
  }
  expect_no_children();
}

TEST(Espeak, DoesNotWaitForever) {
  auto start = std::chrono::steady_clock::now();
  {
    Script script("exec sleep 60");
    Espeak espeak(script.path(), "en-us", 0.3);
    EXPECT_NE(failure(espeak).find("did not answer"), std::string::npos);
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took.count(), 5);
  expect_no_children();
}

TEST(Espeak, SurvivesTheDeathOfItsProgram) {
  // Dies after every third line: each question starts it again if need be.
  Script once(
      "n=0; while [ $n -lt 3 ] && IFS= read -r l; do echo \"$l\"; "
      "n=$((n+1)); done | espeak-ng \"$@\"");
  Espeak espeak(once.path(), "en-us", 10);
  EXPECT_EQ(espeak.phonemes({"hello"})[0], "həlˈo^ʊ");
  EXPECT_EQ(espeak.phonemes({"hello"})[0], "həlˈo^ʊ");
  // Dies in every answer: said after two tries.
  EXPECT_THROW(espeak.phonemes({"a", "b", "c", "d"}), Error);
}

TEST(Espeak, LeavesNoChild) {
  {
    Espeak espeak("espeak-ng", "fr-fr", 10);
    espeak.phonemes({"bonjour"});
  }
  expect_no_children();
}

TEST(Espeak, IsNeededForUnknownWordsOnly) {
  PhonemizerOptions options;
  options.espeak_program = "no-such-espeak";
  auto english = make_phonemizer(Language::en_us, options);
  EXPECT_EQ(join_phonemes(english->phonemize("the cat")), "ðə kˈæt");
  EXPECT_THROW(english->phonemize("the zorgblatt"), Error);
  auto spanish = make_phonemizer(Language::es, options);
  EXPECT_THROW(spanish->phonemize("hola"), Error);
}

} // namespace
} // namespace mlx_audio::text
