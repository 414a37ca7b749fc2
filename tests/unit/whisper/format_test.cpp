#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "mlx_audio/transcription.h"
#include "gtest/gtest.h"

namespace mlx_audio {
namespace {

Transcription sample(bool words) {
  Transcription t;
  t.text = " Hello big world. Bye.";
  t.language = "en";
  t.duration = 5;
  t.has_words = words;
  TranscriptionSegment a;
  a.start = 0;
  a.end = 2.5;
  a.text = " Hello big world.";
  TranscriptionSegment b;
  b.id = 1;
  b.start = 3;
  b.end = 3661.5;
  b.text = " Bye.";
  if (words) {
    a.words = {
        {" Hello", 0, 0.5, 0.9},
        {" big", 0.5, 1, 0.9},
        {" world.", 1.25, 2.5, 0.9}};
    b.words = {{" Bye.", 3, 3661.5, 0.9}};
  }
  t.segments = {a, b};
  return t;
}

TEST(Transcript, PlainFormats) {
  auto t = sample(false);
  EXPECT_EQ(
      format_transcript(t, TranscriptFormat::txt), "Hello big world.\nBye.\n");
  EXPECT_EQ(
      format_transcript(t, TranscriptFormat::srt),
      "1\n00:00:00,000 --> 00:00:02,500\nHello big world.\n\n"
      "2\n00:00:03,000 --> 01:01:01,500\nBye.\n\n");
  EXPECT_EQ(
      format_transcript(t, TranscriptFormat::vtt),
      "WEBVTT\n\n00:00.000 --> 00:02.500\nHello big world.\n\n"
      "00:03.000 --> 01:01:01.500\nBye.\n\n");
  EXPECT_EQ(
      format_transcript(t, TranscriptFormat::tsv),
      "start\tend\ttext\n0\t2500\tHello big world.\n3000\t3661500\tBye.\n");
}

TEST(Transcript, Json) {
  auto t = sample(true);
  auto j = nlohmann::json::parse(format_transcript(t, TranscriptFormat::json));
  EXPECT_EQ(j["language"], "en");
  EXPECT_EQ(j["duration"], 5);
  EXPECT_EQ(j["segments"][0]["words"][2]["word"], " world.");
  auto v = nlohmann::json::parse(
      format_transcript(t, TranscriptFormat::verbose_json));
  EXPECT_EQ(v["task"], "transcribe");
  EXPECT_EQ(v["language"], "english");
  EXPECT_EQ(v["words"].size(), 4u);
  EXPECT_EQ(v["words"][0]["word"], "Hello");
}

TEST(Transcript, SubtitleLimits) {
  auto t = sample(true);
  EXPECT_EQ(
      format_transcript(
          t,
          TranscriptFormat::srt,
          {.max_line_width = 10, .max_line_count = 2}),
      "1\n00:00:00,000 --> 00:00:02,500\nHello big\nworld.\n\n"
      "2\n00:00:03,000 --> 01:01:01,500\nBye.\n\n");
  auto marked =
      format_transcript(t, TranscriptFormat::srt, {.highlight_words = true});
  EXPECT_NE(marked.find("Hello <u>big</u> world."), std::string::npos);
  EXPECT_NE(marked.find("00:00:01,000 --> 00:00:01,250"), std::string::npos);
}

TEST(Transcript, Names) {
  EXPECT_EQ(parse_transcript_format("text"), TranscriptFormat::txt);
  EXPECT_THROW(parse_transcript_format("doc"), Error);
}

} // namespace
} // namespace mlx_audio
