// Our files and streams as FFmpeg's command line programs see them: an
// independent reader for every container.
#include <array>
#include <cstdio>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio {
namespace {

std::string run(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> block;
  while (size_t n = std::fread(block.data(), 1, block.size(), pipe)) {
    out.append(block.data(), n);
  }
  EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << out.substr(0, 1000);
  return out;
}

struct Case {
  AudioFormat format;
  SampleFormat sample_format;
  const char* codec; // ffprobe's name
  double min_snr_db;
  size_t live_delay; // frames before the signal in a stream or without a tag
};

using Parameters = std::tuple<Case, std::pair<int, int>, bool>;

class Container : public ::testing::TestWithParam<Parameters> {};

std::string name_of(const ::testing::TestParamInfo<Parameters>& info) {
  const auto& [c, stream, live] = info.param;
  const auto& [rate, channels] = stream;
  return std::string(to_string(c.format)) + to_string(c.sample_format) +
      std::to_string(rate) + "_" + std::to_string(channels) +
      (live ? "_live" : "_file");
}

INSTANTIATE_TEST_SUITE_P(
    Audio,
    Container,
    ::testing::Combine(
        ::testing::Values(
            Case{AudioFormat::wav, SampleFormat::s16, "pcm_s16le", 85, 0},
            Case{AudioFormat::wav, SampleFormat::s24, "pcm_s24le", 130, 0},
            Case{AudioFormat::wav, SampleFormat::f32, "pcm_f32le", 900, 0},
            Case{AudioFormat::flac, SampleFormat::s16, "flac", 85, 0},
            Case{AudioFormat::flac, SampleFormat::s24, "flac", 130, 0},
            Case{AudioFormat::mp3, SampleFormat::s16, "mp3", 25, 1105},
            Case{AudioFormat::opus, SampleFormat::s16, "opus", 15, 0},
            Case{AudioFormat::aac, SampleFormat::s16, "aac", 20, 1024}),
        ::testing::Values(std::pair(24000, 1), std::pair(48000, 2)),
        ::testing::Bool()),
    name_of);

TEST_P(Container, IsValidToFfmpeg) {
  const auto& [c, stream_kind, live] = GetParam();
  const auto& [rate, channels] = stream_kind;
  TempFolder folder;
  std::string path = folder / ("x." + std::string(file_extension(c.format)));
  Audio audio = tones(rate, channels, 1.5);
  AudioEncoding encoding{c.format, c.sample_format};
  if (live) {
    std::vector<uint8_t> stream;
    AudioWriter writer(
        callback_sink([&](std::span<const uint8_t> piece) {
          stream.insert(stream.end(), piece.begin(), piece.end());
        }),
        encoding,
        rate,
        channels);
    size_t step = 1000u * static_cast<size_t>(channels);
    for (size_t at = 0; at < audio.samples.size(); at += step) {
      writer.write(
          std::span(audio.samples)
              .subspan(at, std::min(step, audio.samples.size() - at)));
      writer.flush();
    }
    writer.finish();
    put_file(path, stream);
  } else {
    AudioWriter writer(file_sink(path), encoding, rate, channels);
    writer.write(audio.samples);
    writer.finish();
  }
  std::string probed = run(
      "ffprobe -v error -show_entries stream=codec_name,sample_rate,channels "
      "-of csv=p=0 " +
      path + " 2>&1");
  int shown_rate = c.format == AudioFormat::opus ? 48000 : rate;
  EXPECT_EQ(
      probed,
      std::string(c.codec) + "," + std::to_string(shown_rate) + "," +
          std::to_string(channels) + "\n");
  // A live WAV ends before its size does, which FFmpeg's -xerror minds.
  std::string strict = live && c.format == AudioFormat::wav ? "" : "-xerror ";
  EXPECT_EQ(
      run("ffmpeg -v error " + strict + "-i " + path + " -f f32le -y " + path +
          ".raw 2>&1"),
      "");
  auto raw = bytes_of(path + ".raw");
  Audio back{{}, shown_rate, channels};
  back.samples.resize(raw.size() / 4);
  std::memcpy(back.samples.data(), raw.data(), raw.size());
  if (shown_rate != rate) {
    back = resample(back, rate);
  }
  size_t delay = live || c.format == AudioFormat::aac ? c.live_delay : 0;
  if (delay == 0) {
    EXPECT_EQ(back.frames(), audio.frames());
  } else {
    EXPECT_GE(back.frames(), audio.frames() + delay);
  }
  back.samples.erase(
      back.samples.begin(),
      back.samples.begin() +
          static_cast<std::ptrdiff_t>(delay * static_cast<size_t>(channels)));
  EXPECT_GT(
      snr_db(audio.samples, back.samples, 2000u * channels), c.min_snr_db);
}

} // namespace
} // namespace mlx_audio
