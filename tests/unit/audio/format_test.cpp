#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio {
namespace {

TEST(Format, NamesRoundTrip) {
  using enum AudioFormat;
  for (auto format : {wav, flac, mp3, opus, aac, pcm}) {
    EXPECT_EQ(parse_audio_format(to_string(format)), format);
    EXPECT_EQ(
        audio_format_from_path(std::string("a.b/c.") + file_extension(format)),
        format);
  }
  EXPECT_EQ(parse_audio_format("MP3"), mp3);
  EXPECT_EQ(audio_format_from_path("x.ogg"), opus);
  EXPECT_EQ(audio_format_from_path("folder.wav/x"), std::nullopt);
  EXPECT_EQ(audio_format_from_path("x.txt"), std::nullopt);
  EXPECT_EQ(parse_sample_format("S24"), SampleFormat::s24);
  EXPECT_STREQ(media_type(mp3), "audio/mpeg");
  EXPECT_STREQ(media_type(opus), "audio/ogg");
  Error error = error_of([] { parse_audio_format("wma"); });
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  EXPECT_STREQ(error.what(), "unknown audio format 'wma'");
  EXPECT_THROW(parse_sample_format("s8"), Error);
}

} // namespace
} // namespace mlx_audio
