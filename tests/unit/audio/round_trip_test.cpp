// Every format, sample format and 1-2 channels: written, read back, compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio {
namespace {

using ::testing::HasSubstr;

struct Case {
  AudioFormat format;
  SampleFormat sample_format;
  int rate;
  int channels;
  double min_snr_db; // of the aligned signals
};

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return std::string(to_string(c.format)) + "_" + to_string(c.sample_format) +
      "_" + std::to_string(c.rate) + "_" + std::to_string(c.channels);
}

class RoundTrip : public ::testing::TestWithParam<Case> {};

// 16 bits: 6.02 * 16 + 1.76 - 9 dB below full scale = 89; 24 bits are limited
// by float's own 24. Lossy codecs on tones at default bitrates.
INSTANTIATE_TEST_SUITE_P(
    Audio,
    RoundTrip,
    ::testing::ValuesIn([] {
      std::vector<Case> cases;
      for (int channels : {1, 2}) {
        using enum AudioFormat;
        using enum SampleFormat;
        for (int rate : {16000, 24000, 48000}) {
          cases.push_back({wav, s16, rate, channels, 85});
          cases.push_back({flac, s16, rate, channels, 85});
          cases.push_back({mp3, s16, rate, channels, 25});
          cases.push_back({opus, s16, rate, channels, 15});
          cases.push_back({aac, s16, rate, channels, 20});
        }
        cases.push_back({wav, s24, 44100, channels, 130});
        cases.push_back({wav, f32, 44100, channels, 900});
        cases.push_back({flac, s24, 44100, channels, 130});
        cases.push_back({pcm, s16, 24000, channels, 85});
        cases.push_back({pcm, s24, 24000, channels, 130});
        cases.push_back({pcm, f32, 24000, channels, 900});
      }
      return cases;
    }()),
    name_of);

Audio read_back(const Case& c, std::span<const uint8_t> bytes) {
  ReadAudioOptions options;
  if (c.format == AudioFormat::pcm) {
    options.raw = RawPcm{c.rate, c.channels, c.sample_format};
  }
  return decode_audio(bytes, options);
}

TEST_P(RoundTrip, GivesBackWhatWasWritten) {
  Case c = GetParam();
  Audio audio = tones(c.rate, c.channels, 1.2345);
  auto bytes = encode_audio(audio, {c.format, c.sample_format});
  Audio back = read_back(c, bytes);
  EXPECT_EQ(back.sample_rate, c.rate);
  EXPECT_EQ(back.channels, c.channels);
  std::vector<float> samples = back.samples;
  if (c.format == AudioFormat::aac) {
    // ADTS cannot say that the first 1024 samples are the codec's delay.
    samples.erase(samples.begin(), samples.begin() + 1024 * c.channels);
    EXPECT_GE(samples.size(), audio.samples.size());
    EXPECT_LT(samples.size(), audio.samples.size() + 2048u * c.channels);
  } else {
    EXPECT_EQ(back.frames(), audio.frames());
  }
  EXPECT_GT(snr_db(audio.samples, samples, 1024u * c.channels), c.min_snr_db);
}

TEST_P(RoundTrip, ManyWritesEqualOne) {
  Case c = GetParam();
  Audio audio = tones(c.rate, c.channels, 0.7);
  std::vector<uint8_t> whole;
  std::vector<uint8_t> pieces;
  {
    AudioWriter writer(
        memory_sink(whole), {c.format, c.sample_format}, c.rate, c.channels);
    writer.write(audio.samples);
    writer.finish();
  }
  {
    AudioWriter writer(
        memory_sink(pieces), {c.format, c.sample_format}, c.rate, c.channels);
    auto step = static_cast<size_t>(c.channels);
    for (size_t at = 0, n = 1; at < audio.frames(); at += n, n = n * 3 % 1001) {
      n = std::min(n, audio.frames() - at);
      writer.write(std::span(audio.samples).subspan(at * step, n * step));
    }
    writer.finish();
  }
  // Ogg streams have random serial numbers: compare what they decode to.
  if (c.format == AudioFormat::opus) {
    EXPECT_EQ(read_back(c, whole).samples, read_back(c, pieces).samples);
  } else {
    EXPECT_EQ(whole, pieces);
  }
}

// A live client decodes all but the codec's delay of what was flushed, long
// before the stream ends; and the whole stream is one container.
TEST_P(RoundTrip, FlushReachesALiveClient) {
  Case c = GetParam();
  Audio audio = tones(c.rate, c.channels, 1.0);
  std::vector<uint8_t> stream;
  AudioWriter writer(
      callback_sink([&](std::span<const uint8_t> piece) {
        stream.insert(stream.end(), piece.begin(), piece.end());
      }),
      {c.format, c.sample_format},
      c.rate,
      c.channels);
  size_t half = audio.samples.size() / 2;
  writer.write(std::span(audio.samples).first(half));
  writer.flush();
  Audio early = read_back(c, stream);
  double expected = 0.5 - 0.02 - 3.5 * 1152.0 / c.rate;
  EXPECT_GT(early.seconds(), expected);
  writer.write(std::span(audio.samples).subspan(half));
  writer.finish();
  Audio late = read_back(c, stream);
  EXPECT_GE(late.frames(), audio.frames());
  EXPECT_LT(late.frames(), audio.frames() + 3 * 1152u);
}

TEST_P(RoundTrip, EmptyStreamIsAValidContainer) {
  Case c = GetParam();
  auto bytes =
      encode_audio(Audio{{}, c.rate, c.channels}, {c.format, c.sample_format});
  if (c.format == AudioFormat::pcm || c.format == AudioFormat::aac) {
    EXPECT_TRUE(bytes.empty()); // neither has a header
    return;
  }
  ASSERT_FALSE(bytes.empty());
  try {
    EXPECT_LT(read_back(c, bytes).frames(), 4000u); // mp3's padding
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("holds no audio samples"));
  }
}

TEST(Encode, ClipsInsteadOfWrapping) {
  Audio loud{{2.0F, -2.0F, 1.0F, -1.0F, 0.99999F}, 24000, 1};
  for (auto format : {SampleFormat::s16, SampleFormat::s24}) {
    for (auto container : {AudioFormat::wav, AudioFormat::flac}) {
      Audio back = decode_audio(encode_audio(loud, {container, format}));
      EXPECT_GT(back.samples[0], 0.9999F);
      EXPECT_EQ(back.samples[1], -1.0F);
      EXPECT_GT(back.samples[2], 0.9999F);
      EXPECT_EQ(back.samples[3], -1.0F);
      EXPECT_GT(back.samples[4], 0.9999F);
    }
  }
  Audio kept =
      decode_audio(encode_audio(loud, {AudioFormat::wav, SampleFormat::f32}));
  EXPECT_EQ(kept.samples, loud.samples);
}

TEST(Encode, SixteenAnd24BitsSurviveARoundTripExactly) {
  for (auto format : {SampleFormat::s16, SampleFormat::s24}) {
    float scale = format == SampleFormat::s16 ? 32768.0F : 8388608.0F;
    Audio audio{{}, 48000, 1};
    for (int i = -30000; i < 30000; i += 7) {
      audio.samples.push_back(static_cast<float>(i) * (scale / 32768) / scale);
      audio.samples.push_back(static_cast<float>(i * 3 / 7) / scale);
    }
    for (auto container :
         {AudioFormat::wav, AudioFormat::flac, AudioFormat::pcm}) {
      ReadAudioOptions options;
      if (container == AudioFormat::pcm) {
        options.raw = RawPcm{48000, 1, format};
      }
      Audio back =
          decode_audio(encode_audio(audio, {container, format}), options);
      EXPECT_EQ(back.samples, audio.samples);
    }
  }
}

TEST(Encode, RatesThatACodecLacksAreResampled) {
  Audio audio = tones(22050, 1, 1.0);
  auto rate_of = [&](AudioFormat format, int rate) {
    Audio a = tones(rate, 1, 0.5);
    return decode_audio(encode_audio(a, {format})).sample_rate;
  };
  EXPECT_EQ(rate_of(AudioFormat::opus, 22050), 24000);
  EXPECT_EQ(rate_of(AudioFormat::opus, 44100), 48000);
  EXPECT_EQ(rate_of(AudioFormat::opus, 96000), 48000);
  EXPECT_EQ(rate_of(AudioFormat::mp3, 22050), 22050);
  EXPECT_EQ(rate_of(AudioFormat::mp3, 96000), 48000);
  EXPECT_EQ(rate_of(AudioFormat::wav, 11127), 11127);
  EXPECT_EQ(rate_of(AudioFormat::flac, 11127), 11127);
  EXPECT_EQ(rate_of(AudioFormat::aac, 23000), 24000);
}

TEST(Encode, RefusesWhatAFormatCannotHold) {
  std::vector<uint8_t> bytes;
  auto refused = [&](AudioEncoding encoding, int rate, int channels) {
    Error error = error_of(
        [&] { AudioWriter(memory_sink(bytes), encoding, rate, channels); });
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.what();
    return std::string(error.what());
  };
  EXPECT_THAT(
      refused({AudioFormat::flac, SampleFormat::f32}, 24000, 1),
      HasSubstr("flac cannot hold f32"));
  EXPECT_THAT(refused({AudioFormat::mp3}, 24000, 3), HasSubstr("3 channels"));
  EXPECT_THAT(refused({AudioFormat::wav}, 24000, 0), HasSubstr("0 channels"));
  EXPECT_THAT(refused({AudioFormat::wav}, 0, 1), HasSubstr("0 Hz"));
  EXPECT_THAT(
      refused({AudioFormat::mp3, SampleFormat::s16, 1000}, 24000, 1),
      HasSubstr("1000 kbit/s"));
  AudioWriter writer(memory_sink(bytes), {}, 24000, 2);
  std::vector<float> bad = {0, 0, 0, NAN};
  Error error = error_of([&] { writer.write(bad); });
  EXPECT_THAT(error.what(), HasSubstr("sample 3 "));
  error = error_of([&] { writer.write(std::span(bad).first(1)); });
  EXPECT_THAT(error.what(), HasSubstr("whole frames"));
}

TEST(Encode, BitrateChangesTheSize) {
  Audio audio = noise(48000, 1, 96000);
  for (auto format : {AudioFormat::mp3, AudioFormat::opus, AudioFormat::aac}) {
    size_t small = encode_audio(audio, {format, {}, 32}).size();
    size_t large = encode_audio(audio, {format, {}, 128}).size();
    EXPECT_NEAR(static_cast<double>(small), 32e3 / 8 * 2, 3000);
    EXPECT_NEAR(static_cast<double>(large), 128e3 / 8 * 2, 6000);
  }
}

} // namespace
} // namespace mlx_audio
