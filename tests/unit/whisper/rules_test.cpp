// The rules around the model, on a tokenizer of the built-in vocabulary.
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "mlx_audio/transcription.h"
#include "models/whisper/languages.h"
#include "models/whisper/live.h"
#include "models/whisper/logit_rules.h"
#include "models/whisper/timing.h"
#include "models/whisper/transcriber.h"
#include "gtest/gtest.h"

namespace mlx_audio::whisper {
namespace {

WhisperConfig config(int n_vocab) {
  WhisperConfig c;
  c.n_vocab = n_vocab;
  return c;
}

const WhisperTokenizer& multilingual() {
  static const WhisperTokenizer tokenizer(config(51865));
  return tokenizer;
}

TEST(WhisperTokenizer, BuiltInVocabulariesRoundTrip) {
  for (int n_vocab : {51864, 51865, 51866}) {
    WhisperTokenizer t(config(n_vocab));
    EXPECT_EQ(t.timestamp_begin + 1501, n_vocab);
    for (std::string text :
         {"Hello, world!",
          " naïve café",
          "今日は天気がいい",
          "a  b\n\nc",
          "🙂"}) {
      EXPECT_EQ(t.decode(t.encode(text)), text);
    }
  }
  // As tiktoken encodes it.
  EXPECT_EQ(
      multilingual().encode(" And Mr. John Dashwood had then leisure"),
      (std::vector<int>{400, 2221, 13, 2619, 23453, 6092, 632, 550, 31339}));
  EXPECT_EQ(multilingual().non_speech_tokens().size(), 82u);
}

TEST(WhisperTokenizer, RefusesForeignVocabularies) {
  EXPECT_THROW(WhisperTokenizer(config(52000)), Error);
  text::BpeSpec small;
  small.tokens = {"a", "b"};
  EXPECT_THROW(WhisperTokenizer(config(51865), small), Error);
}

TEST(WhisperTokenizer, SplitsWords) {
  const auto& t = multilingual();
  auto tokens = t.encode(" Hello, dear world");
  tokens.push_back(t.eot);
  auto words = t.split_words(tokens, "en");
  ASSERT_EQ(words.size(), 5u);
  EXPECT_EQ(words[0].text, " Hello");
  EXPECT_EQ(words[1].text, ",");
  EXPECT_EQ(words[3].text, " world");
  std::string joined;
  auto japanese = t.encode("公園へ散歩");
  for (const auto& word : t.split_words(japanese, "ja")) {
    EXPECT_EQ(word.text.find("\xef\xbf\xbd"), std::string::npos);
    joined += word.text;
  }
  EXPECT_EQ(joined, "公園へ散歩");
}

class Rules : public testing::Test {
 protected:
  const WhisperTokenizer& t = multilingual();
  std::vector<float> logits = std::vector<float>(51865, 0.0f);

  void apply(const std::vector<int>& sampled, DecodeOptions options = {}) {
    LogitRules(t, options).apply(logits, sampled);
  }
  bool allowed(int token) const {
    return std::isfinite(logits[static_cast<size_t>(token)]);
  }
  int time(int index) const {
    return t.timestamp_begin + index;
  }
};

TEST_F(Rules, BeginWithATimeOfTheFirstSecond) {
  apply({});
  EXPECT_FALSE(allowed(400));
  EXPECT_TRUE(allowed(time(0)));
  EXPECT_TRUE(allowed(time(50)));
  EXPECT_FALSE(allowed(time(51)));
}

TEST_F(Rules, TimesComeInPairsAndNeverDecrease) {
  logits[400] = 20;
  logits[static_cast<size_t>(t.eot)] = 20; // likelier than all times together
  apply({time(10), 400, time(30)});
  EXPECT_FALSE(allowed(400));
  EXPECT_TRUE(allowed(t.eot));
  EXPECT_FALSE(allowed(time(29)));
  EXPECT_TRUE(allowed(time(30)));
}

TEST_F(Rules, TextFollowsAPair) {
  apply({time(10), 400, time(30), time(30)});
  EXPECT_TRUE(allowed(400));
  EXPECT_FALSE(allowed(time(31)));
  EXPECT_FALSE(allowed(time(30)));
}

TEST_F(Rules, ASegmentHasALength) {
  logits[400] = 20;
  apply({time(10), 400});
  EXPECT_FALSE(allowed(time(10)));
  EXPECT_TRUE(allowed(time(11)));
}

TEST_F(Rules, LikelyTimesWin) {
  logits[400] = 5; // one text token of e^5 against 1500 times of e^0
  apply({time(0), 400});
  EXPECT_FALSE(allowed(400));
  EXPECT_TRUE(allowed(time(40)));
}

TEST(WhisperWindow, SplitsAtPairsOfTimes) {
  const auto& t = multilingual();
  int b = t.timestamp_begin;
  DecodeResult result;
  result.tokens = {b, 400, b + 100, b + 110, 500, b + 200};
  auto split = split_window(result, t, 1000, 3000, false);
  ASSERT_EQ(split.segments.size(), 2u);
  EXPECT_TRUE(split.complete);
  EXPECT_EQ(split.advance, 3000);
  EXPECT_DOUBLE_EQ(split.segments[1].start, 12.2);
  EXPECT_DOUBLE_EQ(split.segments[1].end, 14.0);

  result.tokens = {b, 400, b + 100, b + 110, 500};
  split = split_window(result, t, 0, 3000, false);
  EXPECT_EQ(split.segments.size(), 1u);
  EXPECT_EQ(split.advance, 200);
  split = split_window(result, t, 0, 3000, true);
  ASSERT_EQ(split.segments.size(), 2u);
  EXPECT_DOUBLE_EQ(split.segments[1].end, 30.0);

  result.tokens = {b, 400, 500};
  split = split_window(result, t, 0, 500, false);
  ASSERT_EQ(split.segments.size(), 1u);
  EXPECT_DOUBLE_EQ(split.segments[0].end, 5.0);
}

TEST(WhisperTiming, WarpsAlongTheCheapestPath) {
  // Two tokens over four frames; the second begins at frame 2.
  auto path = warp({0, 0, 9, 9, 9, 9, 0, 0}, 2, 4);
  EXPECT_EQ(path.rows, (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(path.columns, (std::vector<int>{0, 1, 2, 3}));
}

TEST(WhisperTiming, MedianReflectsAtTheEnds) {
  std::vector<float> x = {5, 1, 9, 2, 8};
  median_filter(x, 1, 5, 3);
  EXPECT_EQ(x, (std::vector<float>{1, 5, 2, 8, 2}));
}

TEST(WhisperTiming, MergesPunctuation) {
  std::vector<WordTiming> words = {
      {" \"", {1}, 0, 1, 1}, {" Hello", {2}, 1, 2, 1}, {",", {3}, 2, 3, 1}};
  merge_punctuations(words, "\"'", ",.");
  EXPECT_EQ(words[1].word, " \" Hello,");
  EXPECT_EQ(words[1].tokens, (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(words[0].word.empty() && words[2].word.empty());
}

TEST(WhisperLanguages, ByCodeNameAndRegion) {
  EXPECT_EQ(language_code("French"), "fr");
  EXPECT_EQ(language_code("zh-CN"), "zh");
  EXPECT_EQ(language_code("mandarin"), "zh");
  EXPECT_FALSE(language_code("klingon"));
  EXPECT_EQ(languages().size(), 100u);
}

TEST(WhisperConfig, RefusesWhatCannotBe) {
  auto good = nlohmann::json::parse(
      R"({"n_mels":80,"n_audio_ctx":1500,"n_audio_state":384,"n_audio_head":6,
          "n_audio_layer":4,"n_vocab":51865,"n_text_ctx":448,
          "n_text_state":384,"n_text_head":6,"n_text_layer":4})");
  EXPECT_EQ(parse_config(good).n_text_layer, 4);
  for (const char* field : {"n_mels", "n_vocab", "n_text_head"}) {
    auto bad = good;
    bad[field] = -1;
    EXPECT_THROW(parse_config(bad), Error) << field;
    bad.erase(field);
    EXPECT_THROW(parse_config(bad), Error) << field;
  }
}

TEST(WhisperNames, OfAllLayouts) {
  EXPECT_EQ(
      canonical_name("model.decoder.layers.3.encoder_attn.k_proj.weight"),
      "decoder.blocks.3.cross_attn.key.weight");
  EXPECT_EQ(
      canonical_name("encoder.blocks.0.mlp.2.bias"),
      "encoder.blocks.0.mlp2.bias");
  EXPECT_EQ(
      canonical_name("model.encoder.embed_positions.weight"),
      "encoder.positional_embedding");
  EXPECT_EQ(canonical_name("model.decoder.layer_norm.bias"), "decoder.ln.bias");
  EXPECT_EQ(
      canonical_name("decoder.blocks.1.mlp_ln.weight"),
      "decoder.blocks.1.mlp_ln.weight");
  EXPECT_EQ(canonical_name("proj_out.weight"), "");
}

TEST(SileroVad, FindsRangesByHysteresis) {
  VadOptions options{.min_silence = 0.1, .padding = 0};
  std::vector<float> p(100, 0.0f);
  std::fill(p.begin() + 10, p.begin() + 30, 0.9f);
  p[20] = 0.4f; // above threshold - 0.15: still speech
  std::fill(p.begin() + 60, p.begin() + 70, 0.9f);
  auto ranges = silero_vad::find_speech(p, 100 * 512, options);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].begin, 10 * 512);
  EXPECT_EQ(ranges[0].end, 30 * 512);
  EXPECT_EQ(ranges[1].end, 70 * 512);
  EXPECT_EQ(silero_vad::join_ranges(ranges, 70 * 512, 512 * 40).size(), 1u);
  EXPECT_EQ(silero_vad::join_ranges(ranges, 50 * 512, 512 * 40).size(), 2u);
}

TEST(SileroVad, CutsLongSpeech) {
  VadOptions options{.max_speech = 10, .padding = 0.1};
  std::vector<float> p(3000, 0.9f); // 96 s
  auto ranges = silero_vad::find_speech(p, 3000 * 512, options);
  ASSERT_GE(ranges.size(), 9u);
  int64_t at = 0;
  for (const auto& range : ranges) {
    EXPECT_LE(range.end - range.begin, 10 * 16000 + 512);
    EXPECT_GE(range.begin, at);
    at = range.end;
  }
  EXPECT_EQ(at, 3000 * 512);
}

TEST(WhisperLive, WordsAgreeWithoutCaseAndMarks) {
  std::vector<TranscribedWord> a = {{" Hello,"}, {" world"}, {" and"}};
  std::vector<TranscribedWord> b = {{" hello"}, {" world."}, {" And"}, {" x"}};
  EXPECT_EQ(agreeing_words(a, b), 3u);
  b[1].text = " word";
  EXPECT_EQ(agreeing_words(a, b), 1u);
}

TEST(CompressionRatio, AsZlibPacks) {
  EXPECT_EQ(compression_ratio(""), 0);
  EXPECT_GT(compression_ratio(std::string(200, 'a')), 10);
  EXPECT_NEAR(
      compression_ratio(
          "And Mr. John Dashwood had then leisure to consider how much there "
          "might be prudently in his power to do for them."),
      1.141414,
      1e-5);
}

} // namespace
} // namespace mlx_audio::whisper
