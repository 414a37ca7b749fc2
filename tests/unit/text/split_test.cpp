#include "text/split.h"

#include <cctype>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mlx_audio/error.h"
#include "text/unicode.h"

namespace mlx_audio::text {
namespace {

using testing::ElementsAre;

// Letters are phonemes: what is split is plain to see.
struct Splitter {
  std::unique_ptr<Phonemizer> reader;

  explicit Splitter(Language language = Language::en_us)
      : reader(make_phoneme_reader(language)) {}

  std::vector<TextChunk> operator()(
      std::string_view text,
      const SplitOptions& options = {}) const {
    ChunkStream stream(text, *reader, options);
    std::vector<TextChunk> out;
    while (auto chunk = stream.next()) {
      out.push_back(std::move(*chunk));
    }
    return out;
  }
};

std::vector<std::string> phonemes(const std::vector<TextChunk>& chunks) {
  std::vector<std::string> out;
  for (const TextChunk& chunk : chunks) {
    out.push_back(chunk.phonemes);
  }
  return out;
}

// Pieces of marks alone are not spoken.
std::string letters(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out += c;
    }
  }
  return out;
}

// Nothing lost, nothing doubled, spans in order, sizes within the limit.
void check(
    std::string_view text,
    const std::vector<TextChunk>& chunks,
    const SplitOptions& options) {
  std::string all;
  size_t last = 0;
  for (const TextChunk& chunk : chunks) {
    EXPECT_LE(count_code_points(chunk.phonemes), options.max_phonemes);
    EXPECT_LE(last, chunk.begin);
    EXPECT_LE(chunk.begin, chunk.end);
    EXPECT_LE(chunk.end, text.size());
    last = chunk.end;
    all += chunk.phonemes;
  }
  EXPECT_TRUE(letters(all) == letters(text)) << text.substr(0, 60);
}

TEST(ChunkStream, KeepsAShortTextWhole) {
  auto chunks = Splitter()("Hello there.");
  EXPECT_THAT(phonemes(chunks), ElementsAre("Hello there."));
  EXPECT_EQ(chunks[0].begin, 0u);
  EXPECT_EQ(chunks[0].end, 12u);
  EXPECT_EQ(chunks[0].pause_after, 0);
}

TEST(ChunkStream, StartsShortAtSentenceClauseOrPhrase) {
  SplitOptions options;
  options.first_chunk_phonemes = 30;
  EXPECT_THAT(
      phonemes(
          Splitter()(
              "One two three. Four five six seven eight nine ten eleven.",
              options)),
      ElementsAre(
          "One two three.", "Four five six seven eight nine ten eleven."));
  EXPECT_THAT(
      phonemes(
          Splitter()(
              "One two three four, five six seven eight nine ten eleven twelve.",
              options)),
      ElementsAre(
          "One two three four,",
          "five six seven eight nine ten eleven twelve."));
  EXPECT_THAT(
      phonemes(
          Splitter()(
              "One two three four five of six seven eight nine ten eleven.",
              options)),
      ElementsAre(
          "One two three four five", "of six seven eight nine ten eleven."));
}

TEST(ChunkStream, PausesByWhatEnds) {
  SplitOptions options;
  options.first_chunk_phonemes = 0;
  options.target_phonemes = 12;
  auto chunks = Splitter()(
      "First one. Second one that is longer.\nA line\n\nLast.", options);
  EXPECT_THAT(
      phonemes(chunks),
      ElementsAre(
          "First one.", "Second one that is longer.", "A line", "Last."));
  EXPECT_EQ(chunks[0].pause_after, options.sentence_pause);
  EXPECT_EQ(chunks[1].pause_after, options.line_pause);
  EXPECT_EQ(chunks[2].pause_after, options.paragraph_pause);
  EXPECT_EQ(chunks[3].pause_after, 0);
  EXPECT_GT(options.paragraph_pause, options.sentence_pause);
}

TEST(ChunkStream, JoinsWrappedLines) {
  auto chunks = Splitter()(
      "This line is long enough to be a line that was wrapped\n"
      "by an editor. It goes on.",
      {.first_chunk_phonemes = 0});
  EXPECT_THAT(
      phonemes(chunks),
      ElementsAre(
          "This line is long enough to be a line that was wrapped "
          "by an editor. It goes on."));
}

TEST(ChunkStream, KnowsSentencesOfEveryScript) {
  SplitOptions options;
  options.first_chunk_phonemes = 0;
  options.target_phonemes = 5;
  EXPECT_THAT(
      phonemes(Splitter(Language::zh)("你好，世界！今天天气很好。", options)),
      ElementsAre("你好，世界！", "今天天气很好。"));
  EXPECT_THAT(
      phonemes(Splitter(Language::ja)("元気ですか？はい、元気です。", options)),
      ElementsAre("元気ですか？", "はい、元気です。"));
  EXPECT_THAT(
      phonemes(Splitter(Language::hi)("मेरा नाम राम है। मुझे चाय पसंद है।", options)),
      ElementsAre("मेरा नाम राम है।", "मुझे चाय पसंद है।"));
  EXPECT_THAT(
      phonemes(Splitter()("I saw Dr. Smith there. He left.", options)),
      ElementsAre("I saw Dr. Smith there.", "He left."));
}

TEST(ChunkStream, NeverDropsAndNeverExceeds) {
  std::string words;
  for (int i = 0; i < 400; ++i) {
    words += "word" + std::to_string(i) + (i % 37 == 36 ? ", " : " ");
  }
  std::string sentences;
  for (int i = 0; i < 300; ++i) {
    sentences += "This is sentence number " + std::to_string(i) + ". ";
  }
  const std::string texts[] = {
      words,
      sentences,
      std::string(5000, 'x'),
      std::string(3000, '.') + "a",
      "a\n\nb\r\n\r\nc\rd\n \n\te",
      std::string(700, 'y') + " z. " + std::string(40, '\n') + "tail"};
  for (size_t limit : {1u, 7u, 50u, 510u}) {
    for (size_t first : {0u, 40u}) {
      SplitOptions options;
      options.max_phonemes = limit;
      options.first_chunk_phonemes = first;
      for (const std::string& text : texts) {
        check(text, Splitter()(text, options), options);
      }
    }
  }
}

TEST(ChunkStream, GrowsFromAShortFirstChunk) {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += "Here is one more sentence, of middling length. ";
  }
  auto chunks = Splitter()(text);
  ASSERT_GT(chunks.size(), 4u);
  EXPECT_LE(chunks[0].phonemes.size(), 40u);
  EXPECT_GT(chunks[1].phonemes.size(), chunks[0].phonemes.size());
  EXPECT_LE(chunks[1].phonemes.size(), 90u);
  EXPECT_GT(chunks[4].phonemes.size(), 180u);
}

TEST(ChunkStream, ReadsLazily) {
  // Thirty minutes of speech: the reader must not be drained at the first call.
  size_t given = 0;
  const std::string sentence = "Yet another sentence é of a long text. ";
  constexpr size_t kBytes = 30000;
  auto reader = make_phoneme_reader(Language::en_us);
  ChunkStream stream(
      [&](char* buffer, size_t size) {
        size_t n = std::min({size, kBytes - given, size_t(1000)});
        for (size_t i = 0; i < n; ++i) {
          buffer[i] = sentence[(given + i) % sentence.size()];
        }
        given += n;
        return n;
      },
      *reader);
  ASSERT_TRUE(stream.next());
  EXPECT_LT(given, 10000u);
  size_t chunks = 1;
  size_t end = 0;
  while (auto chunk = stream.next()) {
    ++chunks;
    end = chunk->end;
  }
  EXPECT_EQ(given, kBytes);
  EXPECT_GT(end, kBytes - 50);
  EXPECT_GT(chunks, 100u);
}

TEST(ChunkStream, FindsBadTextEarlyOrWhereItIs) {
  auto reader = make_phoneme_reader(Language::en_us);
  std::string text = std::string(9000, 'a') + "\xff";
  EXPECT_THROW(ChunkStream(text, *reader), Error);
  EXPECT_THROW(ChunkStream(" \n ", *reader), Error);
  size_t at = 0;
  ChunkStream stream(
      [&](char* buffer, size_t size) {
        size_t n = std::min(size, text.size() - at);
        std::copy_n(text.data() + at, n, buffer);
        at += n;
        return n;
      },
      *reader);
  try {
    while (stream.next()) {
    }
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("byte 9000"), std::string::npos);
  }
  ChunkStream silent("... !", *reader);
  EXPECT_THROW(silent.next(), Error);
}

TEST(ChunkStream, KeepsMarkupTogether) {
  auto phonemizer = make_phonemizer(Language::en_us);
  std::string text;
  for (int i = 0; i < 80; ++i) {
    text += "He met [Mr. X. Yz. Foo](/wˈʌn tˈu θɹˈi/) again and again ";
  }
  ChunkStream stream(text, *phonemizer);
  size_t found = 0;
  while (auto chunk = stream.next()) {
    EXPECT_EQ(chunk->phonemes.find('('), std::string::npos);
    EXPECT_EQ(chunk->phonemes.find("ɛm"), std::string::npos) << "spelled";
    for (size_t at = chunk->phonemes.find("wˈʌn tˈu θɹˈi");
         at != std::string::npos;
         at = chunk->phonemes.find("wˈʌn tˈu θɹˈi", at + 1)) {
      ++found;
    }
  }
  EXPECT_EQ(found, 80u);
}

} // namespace
} // namespace mlx_audio::text
