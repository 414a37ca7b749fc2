// The reader of the model's JSON on the parity program's 42 texts: what the
// reference reads, and complete segments where it loses them.
#include <gtest/gtest.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "models/vibevoice_asr/config.h"
#include "models/vibevoice_asr/loudness.h"
#include "models/vibevoice_asr/text_ids.h"
#include "models/vibevoice_asr/transcript.h"

namespace mlx_audio::vibevoice_asr {
namespace {

using Json = nlohmann::json;

Json texts() {
  std::ifstream file(TEST_DATA_DIR "/vibevoice_asr/parser/case.json");
  return Json::parse(file)["texts"];
}

std::optional<double> number(const Json& segment, const char* field) {
  auto found = segment.find(field);
  if (found == segment.end() || found->is_null()) {
    return std::nullopt;
  }
  return found->is_string() ? std::stod(found->get<std::string>())
                            : found->get<double>();
}

std::optional<std::string> words(const Json& segment, const char* field) {
  auto found = segment.find(field);
  if (found == segment.end() || found->is_null()) {
    return std::nullopt;
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

TEST(Transcript, ReadsWhatTheReferenceReads) {
  int count = 0;
  for (const auto& item : texts()) {
    SCOPED_TRACE(item["name"].get<std::string>());
    ++count;
    auto got = read_transcript(item["text"].get<std::string>());
    if (item["segments"].is_null()) { // NaN and Infinity, which are no times
      ASSERT_EQ(got.size(), 1);
      EXPECT_EQ(got[0].start, std::nullopt);
      EXPECT_EQ(got[0].end, std::nullopt);
      EXPECT_EQ(got[0].text, "a");
      continue;
    }
    if (item.value("better_result_allowed", false)) {
      EXPECT_GE(got.size(), item["segments"].size());
      continue;
    }
    ASSERT_EQ(got.size(), item["segments"].size());
    for (size_t i = 0; i < got.size(); ++i) {
      const Json& want = item["segments"][i];
      EXPECT_EQ(got[i].start, number(want, "start"));
      EXPECT_EQ(got[i].end, number(want, "end"));
      EXPECT_EQ(got[i].speaker, words(want, "speaker_id"));
      EXPECT_EQ(got[i].text, words(want, "text"));
    }
  }
  EXPECT_EQ(count, 42);
}

// What the reference loses, by the name of its text.
TEST(Transcript, KeepsCompleteSegments) {
  const std::map<std::string, std::vector<std::string>> kept = {
      {"open_bracket_in_string", {"a [ b"}},
      {"close_bracket_in_string", {"a ] b"}},
      {"object_with_brackets", {"[Music]"}},
      {"truncated_in_string", {"Hello."}},
      {"truncated_after_item", {"Hello."}},
      {"truncated_before_bracket", {"Hello."}},
      {"trailing_comma", {"a"}},
      {"fence_not_closed", {"a"}},
      {"raw_newline_in_string", {"two\nlines"}},
      {"nested_array", {"a"}}};
  size_t seen = 0;
  for (const auto& item : texts()) {
    auto found = kept.find(item["name"].get<std::string>());
    if (found == kept.end()) {
      continue;
    }
    ++seen;
    std::vector<std::string> got;
    for (const auto& segment :
         read_transcript(item["text"].get<std::string>())) {
      got.push_back(segment.text.value_or(""));
    }
    EXPECT_EQ(got, found->second) << found->first;
  }
  EXPECT_EQ(seen, kept.size());
}

TEST(Transcript, GivesSegmentsAsSoonAsTheyAreComplete) {
  TranscriptReader reader;
  std::string text =
      R"([{"Start":0,"End":1,"Content":"a }] \" b"},{"Start":1,"End":"1:02.5","Content":"b"}] tail)";
  std::vector<size_t> at;
  for (size_t i = 0; i < text.size(); ++i) {
    reader.feed(text.substr(i, 1));
    while (auto segment = reader.next()) {
      at.push_back(i);
      if (at.size() == 2) {
        EXPECT_EQ(segment->end, 62.5);
      }
    }
  }
  EXPECT_EQ(at, (std::vector<size_t>{text.find("},{"), text.find("}] tail")}));
  EXPECT_TRUE(reader.complete());
  EXPECT_FALSE(reader.nothing_said());
}

TEST(Transcript, BoundsWhatItKeeps) {
  std::string deep = "[{\"a\":" + std::string(100000, '[');
  EXPECT_TRUE(read_transcript(deep).empty());
  std::string wide = "[{\"Content\":\"" + std::string(3 << 20, 'x') +
      "\"},{\"Content\":\"b\"}]";
  auto got = read_transcript(wide);
  ASSERT_EQ(got.size(), 1);
  EXPECT_EQ(got[0].text, "b");
}

TEST(Transcript, NothingSaidIsAnEmptyList) {
  for (const char* text : {"[]", "assistant\n[ ]\n"}) {
    TranscriptReader reader;
    reader.feed(text);
    EXPECT_TRUE(reader.nothing_said()) << text;
  }
}

TEST(Hotwords, JoinTheContext) {
  EXPECT_EQ(with_hotwords("", ""), "");
  EXPECT_EQ(with_hotwords("names: Ada", ""), "names: Ada");
  EXPECT_EQ(
      with_hotwords("names: Ada", "MLX, VibeVoice ,"),
      "names: Ada\nMLX, VibeVoice");
  EXPECT_EQ(with_hotwords("", " a,b"), "a, b");
}

TEST(Loudness, BringsSoundToItsLevelWithoutClipping) {
  Config config;
  std::vector<float> quiet(1000, 0.01f);
  auto y = Loudness(quiet, config).apply(quiet);
  EXPECT_NEAR(y[0], std::pow(10, -25.0 / 20), 1e-4);
  std::vector<float> click(100000, 0.0f);
  click[5] = 0.5f;
  y = Loudness(click, config).apply(click);
  EXPECT_LE(*std::max_element(y.begin(), y.end()), 1.0f);
  std::vector<float> silence(100, 0.0f);
  config.eps = 0;
  y = Loudness(silence, config).apply(silence);
  EXPECT_EQ(y, silence);
}

TEST(QuietestCut, LiesInTheLastSeconds) {
  std::vector<float> sound(48000, 0.5f);
  std::fill(sound.begin() + 2000, sound.begin() + 9000, 0.0f); // too early
  std::fill(sound.begin() + 40000, sound.begin() + 43000, 0.01f);
  auto cut = quietest_cut(sound, 24000, 1.0);
  EXPECT_GE(cut, 40000);
  EXPECT_LE(cut, 43200);
}

} // namespace
} // namespace mlx_audio::vibevoice_asr
