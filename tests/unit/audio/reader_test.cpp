// Files of every kind, by content; and what is no audio.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio {
namespace {

using ::testing::HasSubstr;

std::string data(const std::string& name) {
  return TEST_DATA_DIR "/audio/" + name;
}

struct Fixture {
  const char* name;
  int rate;
  size_t max_extra; // frames of padding that the format cannot cut
  size_t delay; // frames before the signal
  double min_snr_db;
  SampleFormat kept;
};

class EveryFormat : public ::testing::TestWithParam<Fixture> {};

INSTANTIATE_TEST_SUITE_P(
    Audio,
    EveryFormat,
    ::testing::Values(
        Fixture{"tone.m4a", 24000, 0, 0, 18, SampleFormat::s16},
        Fixture{"video.mp4", 24000, 0, 0, 18, SampleFormat::s16},
        Fixture{"tone.aac", 24000, 2048, 1024, 18, SampleFormat::s16},
        Fixture{"tone.webm", 48000, 1000, 0, 15, SampleFormat::s16},
        Fixture{"tone.ogg", 24000, 0, 0, 25, SampleFormat::s16},
        Fixture{"tone.opus", 24000, 0, 0, 15, SampleFormat::s16},
        Fixture{"tone.caf", 24000, 1024, 0, 70, SampleFormat::s16},
        Fixture{"alac24.m4a", 24000, 0, 0, 70, SampleFormat::s24},
        Fixture{"tone.mp3", 24000, 0, 0, 25, SampleFormat::s16},
        Fixture{"tone.aiff", 24000, 0, 0, 70, SampleFormat::s24},
        Fixture{"tone.wv", 24000, 0, 0, 70, SampleFormat::s16},
        Fixture{"adpcm.wav", 24000, 1024, 0, 25, SampleFormat::s16},
        Fixture{"stereo24.flac", 44100, 0, 0, 70, SampleFormat::s24}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

TEST_P(EveryFormat, IsReadByItsContent) {
  Fixture f = GetParam();
  TempFolder folder;
  std::string misnamed = folder / "really.txt";
  std::filesystem::copy_file(data(f.name), misnamed);
  Audio audio = read_audio(misnamed);
  EXPECT_EQ(audio.sample_rate, f.rate);
  auto rate = static_cast<size_t>(f.rate);
  EXPECT_GE(audio.frames(), rate - (f.max_extra > 0 ? 500 : 0));
  EXPECT_LE(audio.frames(), rate + f.max_extra);
  EXPECT_EQ(AudioReader(misnamed).info().sample_format, f.kept);
  std::vector<float> sine(rate);
  for (size_t i = 0; i < rate; ++i) {
    sine[i] = static_cast<float>(
        0.125 *
        std::sin(2 * std::numbers::pi * 440 * static_cast<double>(i) / f.rate));
  }
  std::vector<float> got = mix_to_mono(audio).samples;
  got.erase(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(f.delay));
  EXPECT_GT(snr_db(sine, got, 2000), f.min_snr_db);
  // The same from memory, and in small blocks with another rate.
  EXPECT_EQ(decode_audio(bytes_of(misnamed)).samples, audio.samples);
  ReadAudioOptions options;
  options.sample_rate = 16000;
  options.mono = true;
  AudioReader reader(misnamed, options);
  std::vector<float> block(777);
  std::vector<float> blocks;
  while (size_t n = reader.read(block)) {
    blocks.insert(
        blocks.end(),
        block.begin(),
        block.begin() + static_cast<std::ptrdiff_t>(n));
  }
  EXPECT_EQ(blocks, read_audio(misnamed, options).samples);
  EXPECT_EQ(blocks.size(), (audio.frames() * 16000 + rate / 2) / rate);
  EXPECT_FALSE(reader.truncated()) << reader.warning();
}

// Whatever part is left of a file either plays in part or is refused by name.
TEST_P(EveryFormat, TruncatedGivesAPartOrAClearError) {
  auto whole = bytes_of(data(GetParam().name));
  Audio all = decode_audio(whole);
  for (double part : {0.0, 0.01, 0.1, 0.5, 0.9}) {
    auto n = static_cast<size_t>(static_cast<double>(whole.size()) * part);
    std::span<const uint8_t> cut(whole.data(), n);
    try {
      AudioReader reader(cut);
      std::vector<float> block(65536);
      size_t total = 0;
      while (size_t got = reader.read(block)) {
        total += got;
      }
      EXPECT_LT(total, all.frames());
      EXPECT_GT(total, 0u);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::corrupt_data) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("the audio data "));
    }
  }
}

TEST(Reader, FlagsTruncation) {
  Audio audio = noise(24000, 1, 120000);
  std::vector<std::vector<uint8_t>> files = {bytes_of(data("video.mp4"))};
  using enum AudioFormat;
  for (auto format : {wav, flac, mp3, opus}) {
    files.push_back(encode_audio(audio, {format}));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    files[i].resize(files[i].size() * 6 / 10);
    AudioReader reader{std::span<const uint8_t>(files[i])};
    std::vector<float> block(65536);
    while (reader.read(block) > 0) {
    }
    EXPECT_TRUE(reader.truncated()) << i;
    EXPECT_THAT(reader.warning(), HasSubstr("is truncated")) << i;
  }
}

TEST(Reader, ChannelsAreChosenOrMixed) {
  Audio audio = tones(24000, 2, 0.1);
  auto bytes = encode_audio(audio, {AudioFormat::wav, SampleFormat::f32});
  ReadAudioOptions options;
  options.channel = 1;
  Audio right = decode_audio(bytes, options);
  EXPECT_EQ(right.channels, 1);
  for (size_t i = 0; i < right.frames(); ++i) {
    ASSERT_EQ(right.samples[i], audio.samples[2 * i + 1]);
  }
  options.channel = 2;
  Error error = error_of([&] { decode_audio(bytes, options); });
  EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
  EXPECT_STREQ(error.what(), "the audio data has no channel 2, only 2");
  options.channel.reset();
  options.mono = true;
  EXPECT_EQ(decode_audio(bytes, options).samples, mix_to_mono(audio).samples);
}

std::string refused(ErrorKind kind, const std::string& path) {
  Error error = error_of([&] { read_audio(path); });
  EXPECT_EQ(error.kind(), kind) << error.what();
  EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  EXPECT_THAT(error.what(), HasSubstr("'" + path + "'"));
  return error.what();
}

TEST(Reader, SaysWhatIsWrongWithAFile) {
  TempFolder folder;
  std::string path = folder / "x.wav";
  EXPECT_THAT(refused(ErrorKind::not_found, path), HasSubstr("No such file"));
  put_file(path, {});
  EXPECT_THAT(refused(ErrorKind::corrupt_data, path), HasSubstr("is empty"));
  put_file(path, {'h', 'e', 'l', 'l', 'o', '\n'});
  EXPECT_THAT(refused(ErrorKind::corrupt_data, path), HasSubstr("not audio"));
  std::vector<uint8_t> scrap(100000);
  std::mt19937 rng(3);
  for (auto& b : scrap) {
    b = static_cast<uint8_t>(rng());
  }
  put_file(path, scrap);
  EXPECT_THAT(refused(ErrorKind::corrupt_data, path), HasSubstr("not audio"));
  for (const char* magic : {"fLaC", "OggS", "ID3", "\xff\xfb\x90", ".snd"}) {
    auto bytes = scrap;
    std::copy_n(magic, std::string(magic).size(), bytes.begin());
    put_file(path, bytes);
    refused(ErrorKind::corrupt_data, path);
  }
  refused(ErrorKind::io, folder / ".");
  refused(ErrorKind::corrupt_data, data("playlist.m3u8"));
  EXPECT_THAT(
      refused(ErrorKind::corrupt_data, data("silent_video.mp4")),
      HasSubstr("no audio track"));
}

TEST(Reader, LimitsAreKept) {
  ReadAudioOptions options;
  options.max_seconds = 0.5;
  for (const char* name : {"tone.m4a", "tone.mp3", "tone.aac", "tone.ogg"}) {
    Error error = error_of([&] { read_audio(data(name), options); });
    EXPECT_EQ(error.kind(), ErrorKind::too_large) << name;
    EXPECT_THAT(error.what(), HasSubstr("longer than the limit"));
  }
  options.max_seconds = 0;
  options.max_bytes = 1000;
  Error error = error_of([&] { read_audio(data("tone.ogg"), options); });
  EXPECT_EQ(error.kind(), ErrorKind::too_large);
}

TEST(Reader, RawSamplesNeedNoHeader) {
  ReadAudioOptions options;
  options.raw = RawPcm{8000, 2, SampleFormat::s16};
  std::vector<uint8_t> bytes = {0, 64, 0, 192, 0, 32, 0, 0, 9};
  Audio audio = decode_audio(bytes, options);
  EXPECT_EQ(audio.samples, (std::vector<float>{0.5F, -0.5F, 0.25F, 0}));
  options.raw->channels = 0;
  EXPECT_THROW(decode_audio(bytes, options), Error);
}

/// Runs `act` in a child whose standard input is a pipe with these bytes.
template <typename Act>
int with_stdin(const std::vector<uint8_t>& bytes, Act act) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    int code = 1;
    try {
      code = act();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    ::_exit(code);
  }
  ::close(ends[0]);
  size_t put = 0;
  while (put < bytes.size()) {
    ssize_t n = ::write(ends[1], bytes.data() + put, bytes.size() - put);
    if (n <= 0) {
      break;
    }
    put += static_cast<size_t>(n);
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(Reader, StandardInputTakesEveryFormat) {
  Audio audio = tones(24000, 1, 1);
  for (const char* name : {"tone.m4a", "tone.ogg", "stereo24.flac"}) {
    size_t expected = read_audio(data(name)).frames();
    EXPECT_EQ(
        with_stdin(
            bytes_of(data(name)),
            [&] { return read_audio("-").frames() == expected ? 7 : 2; }),
        7);
  }
  EXPECT_EQ(
      with_stdin(
          encode_audio(audio),
          [] { return read_audio("-").frames() == 24000 ? 7 : 2; }),
      7);
  EXPECT_EQ(
      with_stdin(
          {},
          [] {
            Error error = error_of([] { read_audio("-"); });
            return std::string(error.what()) == "standard input is empty" ? 7
                                                                          : 2;
          }),
      7);
}

// Run by the next test in a process of its own, for the module is loaded once.
TEST(Reader, DISABLED_WithoutTheModule) {
  Error m4a = error_of([] { read_audio(data("tone.m4a")); });
  EXPECT_EQ(m4a.kind(), ErrorKind::unavailable);
  EXPECT_THAT(m4a.what(), HasSubstr("MP4/M4A input needs the FFmpeg module"));
  EXPECT_THAT(m4a.hint(), HasSubstr("libmlx_audio_ffmpeg.so"));
  Error aac =
      error_of([] { encode_audio(tones(24000, 1, 0.1), {AudioFormat::aac}); });
  EXPECT_THAT(aac.what(), HasSubstr("aac output needs the FFmpeg module"));
  Error text = error_of([] { read_audio(data("README.md")); });
  EXPECT_EQ(text.kind(), ErrorKind::corrupt_data);
  EXPECT_EQ(read_audio(data("tone.ogg")).frames(), 24000u);
  EXPECT_EQ(read_audio(data("tone.mp3")).frames(), 24000u);
}

TEST(Reader, WithoutTheModuleOnlyItsFormatsFail) {
  TempFolder empty;
  pid_t child = ::fork();
  if (child == 0) {
    ::setenv("MLX_AUDIO_MODULES", (empty / ".").c_str(), 1);
    ::execl(
        "/proc/self/exe",
        "self",
        "--gtest_filter=Reader.DISABLED_WithoutTheModule",
        "--gtest_also_run_disabled_tests",
        "--gtest_brief=1",
        nullptr);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

} // namespace
} // namespace mlx_audio
