// Files appear whole or not at all, and failures name path and reason.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/audio/signals.h"

namespace mlx_audio {
namespace {

using ::testing::HasSubstr;

TEST(FileSink, AppearsOnlyWhenFinished) {
  TempFolder folder;
  std::string path = folder / "a.wav";
  Audio audio = tones(24000, 1, 0.5);
  {
    AudioWriter writer(file_sink(path), {}, 24000, 1);
    writer.write(audio.samples);
    writer.flush();
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(folder.entries(), 1u);
    writer.finish();
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_EQ(read_audio(path).frames(), audio.frames());
}

TEST(FileSink, LeavesNothingWithoutFinish) {
  TempFolder folder;
  std::string path = folder / "a.flac";
  put_file(path, {1, 2, 3});
  {
    AudioWriter writer(file_sink(path), {AudioFormat::flac}, 24000, 1);
    writer.write(tones(24000, 1, 0.5).samples);
  }
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_EQ(bytes_of(path), (std::vector<uint8_t>{1, 2, 3})); // the old one
  {
    AudioWriter writer(file_sink(path), {AudioFormat::flac}, 24000, 1);
    std::vector<float> bad = {NAN};
    EXPECT_THROW(writer.write(bad), Error);
  }
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(FileSink, UnfinishedFilesAreRemovedOnASignal) {
  TempFolder folder;
  pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGTERM, [](int) {
      remove_unfinished_files();
      ::_exit(7);
    });
    auto one = file_sink(folder / "one.wav");
    auto two = file_sink(folder / "two.wav");
    two->finish();
    ::raise(SIGTERM);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_TRUE(std::filesystem::exists(folder / "two.wav"));
}

TEST(FileSink, KeepsModeAndSymbolicLink) {
  TempFolder folder;
  std::string real = folder / "real.wav";
  std::string link = folder / "link.wav";
  put_file(real, {0});
  ::chmod(real.c_str(), 0640);
  std::filesystem::create_symlink(real, link);
  write_audio(link, tones(8000, 1, 0.1));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(read_audio(real).frames(), 800u);
  struct stat info{};
  ::stat(real.c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(FileSink, FailuresNamePathAndReason) {
  TempFolder folder;
  Audio audio = tones(24000, 1, 5);
  auto failed = [&](const std::string& path, AudioFormat format) {
    Error error = error_of([&] { write_audio(path, audio, {format}); });
    EXPECT_EQ(error.kind(), ErrorKind::io) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("'" + path + "'"));
    return std::string(error.what());
  };
  using enum AudioFormat;
  for (auto format : {wav, flac, mp3, opus, aac, pcm}) {
    EXPECT_THAT(failed("/dev/full", format), HasSubstr("No space left"));
  }
  EXPECT_THAT(failed(folder / "no/a.wav", wav), HasSubstr("No such file"));
  EXPECT_THAT(failed(folder / "new/", wav), HasSubstr("Is a directory"));
  EXPECT_THAT(failed("/proc/a.wav", wav), HasSubstr("cannot write"));
  std::filesystem::create_directory(folder / "d");
  EXPECT_THAT(failed(folder / "d", wav), HasSubstr("Is a directory"));
  std::string long_name = folder / std::string(300, 'x');
  EXPECT_THAT(failed(long_name, wav), HasSubstr("File name too long"));
  EXPECT_EQ(folder.entries(), 1u);
  write_audio("/dev/null", audio); // devices are written directly
}

TEST(FileSink, AFullDiskLeavesNothingBehind) {
  TempFolder folder;
  Audio audio = tones(48000, 2, 10);
  using enum AudioFormat;
  for (auto format : {wav, flac, pcm}) {
    std::string path = folder / "big";
    pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN); // then write() fails with EFBIG
      rlimit limit{100000, 100000};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      Error error = error_of([&] { write_audio(path, audio, {format}); });
      bool right = error.kind() == ErrorKind::io &&
          std::string(error.what()).find("File too large") != std::string::npos;
      ::_exit(right ? 7 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_EQ(folder.entries(), 0u);
  }
}

TEST(StdoutSink, ReportsAClosedPipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]); // before the child writes: what fits the pipe would pass
  pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGPIPE, SIG_IGN);
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[1]);
    Error error = error_of([] {
      AudioWriter writer(stdout_sink(), {}, 24000, 1);
      writer.write(tones(24000, 1, 1).samples);
      writer.finish();
    });
    bool right = error.kind() == ErrorKind::io &&
        std::string(error.what()).find("Broken pipe") != std::string::npos;
    ::_exit(right ? 7 : 1);
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(CallbackSink, ExceptionsOfTheReceiverPassThroughEveryEncoder) {
  Audio audio = noise(24000, 1, 48000);
  using enum AudioFormat;
  for (auto format : {wav, flac, mp3, opus, aac, pcm}) {
    size_t calls = 0;
    EXPECT_THROW(
        {
          AudioWriter writer(
              callback_sink([&](std::span<const uint8_t>) {
                if (++calls > 4) {
                  throw std::out_of_range("gone");
                }
              }),
              {format},
              24000,
              1);
          for (int i = 0; i < 50; ++i) {
            writer.write(audio.samples);
            writer.flush();
          }
        },
        std::out_of_range)
        << to_string(format);
  }
}

} // namespace
} // namespace mlx_audio
