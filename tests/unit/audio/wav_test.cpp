// WAV headers, whole and broken.
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/audio/signals.h"
#include "unit/audio/wav_bytes.h"

namespace mlx_audio {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Bytes s16(const std::vector<int16_t>& values) {
  Bytes out;
  for (int16_t v : values) {
    out = out + le(v);
  }
  return out;
}

std::string refused(const Bytes& bytes) {
  Error error = error_of([&] { decode_audio(bytes); });
  EXPECT_EQ(error.kind(), ErrorKind::corrupt_data) << error.what();
  EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  return error.what();
}

TEST(Wav, EverySampleStorage) {
  EXPECT_THAT(
      decode_audio(wav({1, 1, 8000, 8}, {0, 128, 255})).samples,
      ElementsAre(-1, 0, 127 / 128.0F));
  EXPECT_THAT(
      decode_audio(wav({}, s16({-32768, 0, 16384}))).samples,
      ElementsAre(-1, 0, 0.5F));
  EXPECT_THAT(
      decode_audio(wav({1, 1, 8000, 24}, {0, 0, 0x80, 1, 0, 0})).samples,
      ElementsAre(-1, 1 / 8388608.0F));
  EXPECT_THAT(
      decode_audio(
          wav({1, 1, 8000, 32}, le<int32_t>(INT32_MIN) + le<int32_t>(1 << 30)))
          .samples,
      ElementsAre(-1, 0.5F));
  EXPECT_THAT(
      decode_audio(wav({3, 1, 8000, 32}, le(1.5F) + le(-0.1F))).samples,
      ElementsAre(1.5F, -0.1F));
  EXPECT_THAT(
      decode_audio(wav({3, 1, 8000, 64}, le(0.1) + le(-2.0))).samples,
      ElementsAre(0.1F, -2));
  // ITU-T G.711's tables: the largest and the smallest values.
  EXPECT_THAT(
      decode_audio(wav({6, 1, 8000, 8}, {0xAA, 0x2A, 0xD5, 0x55})).samples,
      ElementsAre(
          32256 / 32768.0F, -32256 / 32768.0F, 8 / 32768.0F, -8 / 32768.0F));
  EXPECT_THAT(
      decode_audio(wav({7, 1, 8000, 8}, {0x80, 0x00, 0xFF, 0xFE})).samples,
      ElementsAre(32124 / 32768.0F, -32124 / 32768.0F, 0, 8 / 32768.0F));
}

TEST(Wav, SaysWhatItHolds) {
  auto info = [](const Bytes& bytes) { return AudioReader(bytes).info(); };
  auto a = info(wav({1, 2, 44100, 24}, Bytes(6 * 10)));
  EXPECT_EQ(a.sample_rate, 44100);
  EXPECT_EQ(a.channels, 2);
  EXPECT_EQ(a.frames, 10u);
  EXPECT_EQ(a.sample_format, SampleFormat::s24);
  EXPECT_EQ(a.format, AudioFormat::wav);
  EXPECT_EQ(a.description, "WAV, 24-bit PCM");
  EXPECT_EQ(
      info(wav({3, 1, 8000, 32}, Bytes(4))).sample_format, SampleFormat::f32);
  EXPECT_EQ(info(wav({7, 1, 8000, 8}, Bytes(4))).description, "WAV, mu-law");
}

TEST(Wav, ExtensibleAndOddChunks) {
  Bytes extensible = chunk(
      "fmt ",
      le<uint16_t>(0xFFFE) + le<uint16_t>(1) + le<uint32_t>(48000) +
          le<uint32_t>(96000) + le<uint16_t>(2) + le<uint16_t>(16) +
          le<uint16_t>(22) + le<uint16_t>(16) + le<uint32_t>(4) +
          le<uint16_t>(1) + Bytes(14));
  Bytes bytes = riff(
      chunk("LIST", text("odd")) + extensible + chunk("junk", Bytes(5)) +
      chunk("data", s16({16384})) + chunk("LIST", text("after")));
  EXPECT_THAT(decode_audio(bytes).samples, ElementsAre(0.5F));
}

TEST(Wav, SizesOfLiveStreamsMeanToTheEnd) {
  for (uint32_t size : {0xFFFFFFFFU, 0x7FFFFFFFU, 0x7FFFF000U, 0U}) {
    Bytes bytes = text("RIFF") + le(size == 0 ? 0U : 0xFFFFFFFFU) +
        text("WAVE") + fmt_chunk({}) + text("data") + le(size) + s16({1, 2, 3});
    AudioReader reader{std::span<const uint8_t>(bytes)};
    EXPECT_EQ(reader.info().frames, 3u);
    std::vector<float> out(10);
    EXPECT_EQ(reader.read(out), 3u) << size;
    EXPECT_EQ(reader.read(out), 0u);
    EXPECT_FALSE(reader.truncated());
  }
}

TEST(Wav, TruncatedFilesGiveWhatTheyHold) {
  Bytes whole = wav({}, Bytes(2000));
  Bytes bytes(whole.begin(), whole.end() - 501);
  AudioReader reader{std::span<const uint8_t>(bytes)};
  std::vector<float> out(4000);
  size_t total = 0;
  while (size_t n = reader.read(out)) {
    total += n;
  }
  EXPECT_EQ(total, 749u);
  EXPECT_TRUE(reader.truncated());
  EXPECT_EQ(
      reader.warning(),
      "the audio data is truncated: 749 frames could be read");
}

TEST(Wav, BrokenHeadersAreSaidToBe) {
  Bytes whole = wav({}, s16({1, 2, 3, 4}));
  for (size_t n = 12; n < 44; ++n) { // every cut within the header
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_THAT(refused(cut), HasSubstr("broken WAV file")) << n;
  }
  Bytes no_samples(whole.begin(), whole.begin() + 44);
  EXPECT_THAT(refused(no_samples), HasSubstr("no audio samples"));
  EXPECT_THAT(refused(wav({}, {})), HasSubstr("holds no audio samples"));
  EXPECT_THAT(
      refused(riff(chunk("data", Bytes(8)) + fmt_chunk({}))),
      HasSubstr("before their format"));
  EXPECT_THAT(refused(wav({1, 1, 0, 16}, Bytes(8))), HasSubstr("rate of 0 Hz"));
  EXPECT_THAT(
      refused(wav({1, 1, 0xFFFFFFFF, 16}, Bytes(8))), HasSubstr("sample rate"));
  EXPECT_THAT(
      refused(wav({1, 65, 8000, 16}, Bytes(1300))), HasSubstr("65 channels"));
  EXPECT_NE(refused(wav({1, 0, 8000, 16}, Bytes(8))), "no error");
  EXPECT_NE(refused(wav({1, 1, 8000, 0}, Bytes(8))), "no error");
  EXPECT_NE(refused(wav({0x1234, 1, 8000, 16}, Bytes(8))), "no error");
  Bytes chunks;
  for (int i = 0; i < 1001; ++i) {
    chunks = chunks + chunk("junk", {});
  }
  EXPECT_THAT(refused(riff(chunks)), HasSubstr("1000 chunks"));
  Bytes lying = text("RIFF") + le(0xFFFFFFFFU) + text("WAVE") + text("fmt ") +
      le(0xFFFFFFF0U) + Bytes(64);
  EXPECT_THAT(refused(lying), HasSubstr("format chunk"));
}

TEST(Wav, NotANumberIsNamedByItsPlace) {
  Bytes data;
  for (int i = 0; i < 40000; ++i) {
    data = std::move(data) + le(i == 30001 ? NAN : 0.25F);
  }
  Bytes bytes = wav({3, 2, 48000, 32}, data);
  EXPECT_EQ(
      refused(bytes),
      "the audio data has a sample that is not a number at frame 15000, "
      "channel 1");
  ReadAudioOptions options;
  options.sanitize = true;
  Audio audio = decode_audio(bytes, options);
  EXPECT_EQ(audio.samples[30001], 0);
  EXPECT_EQ(audio.samples[30000], 0.25F);
  EXPECT_THAT(
      refused(wav({3, 1, 8000, 32}, le(INFINITY))), HasSubstr("infinite"));
}

TEST(Wav, StreamHeadersNeedNoPatching) {
  std::vector<uint8_t> stream;
  auto sink = [&] {
    stream.clear();
    return callback_sink([&](std::span<const uint8_t> piece) {
      stream.insert(stream.end(), piece.begin(), piece.end());
    });
  };
  {
    AudioWriter writer(sink(), {}, 24000, 1);
    EXPECT_EQ(stream.size(), 44u); // before any sample
  }
  EXPECT_EQ(stream[40], 0xFF);
  AudioEncoding known;
  known.frames = 1000;
  AudioWriter writer(sink(), known, 24000, 1);
  EXPECT_EQ(Bytes(stream.begin() + 40, stream.end()), le<uint32_t>(2000));
}

/// Counts bytes and keeps the first 200.
class CountingSink : public ByteSink {
 public:
  CountingSink(uint64_t& size, Bytes& head) : size_(size), head_(head) {}
  void write(std::span<const uint8_t> bytes) override {
    for (size_t i = 0; i < bytes.size() && head_.size() < 200; ++i) {
      head_.push_back(bytes[i]);
    }
    size_ += bytes.size();
  }
  bool can_patch() const override {
    return true;
  }
  void patch(uint64_t offset, std::span<const uint8_t> bytes) override {
    std::copy(
        bytes.begin(),
        bytes.end(),
        head_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

 private:
  uint64_t& size_;
  Bytes& head_;
};

TEST(Wav, MoreThan4GiBBecomesRf64AndIsReadBack) {
  uint64_t size = 0;
  Bytes head;
  std::vector<float> block(size_t{1} << 22, 0.25F);
  uint64_t samples = 0;
  {
    AudioWriter writer(
        std::make_unique<CountingSink>(size, head),
        {AudioFormat::wav, SampleFormat::f32},
        48000,
        2);
    while (samples * 4 < (uint64_t{1} << 32)) {
      writer.write(block);
      samples += block.size();
    }
    writer.finish();
  }
  EXPECT_EQ(Bytes(head.begin(), head.begin() + 4), text("RF64"));
  uint64_t header = size - samples * 4;
  ASSERT_LT(header, 150u);
  // A sparse file with that header.
  TempFolder folder;
  std::string path = folder / "large.wav";
  head.resize(header);
  put_file(path, head);
  std::filesystem::resize_file(path, size);
  ReadAudioOptions options;
  options.max_seconds = 0;
  AudioReader reader(path, options);
  EXPECT_EQ(reader.info().frames, samples / 2);
  EXPECT_EQ(reader.info().sample_format, SampleFormat::f32);
  std::vector<float> out(16);
  EXPECT_EQ(reader.read(out), 8u);
}

TEST(Wav, PipesAreReadAsTheyArrive) {
  TempFolder folder;
  std::string path = folder / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::atomic<bool> heard = false;
  std::thread writer([&] {
    auto sink = file_sink(path); // a FIFO is written directly
    AudioWriter out(std::move(sink), {}, 16000, 1);
    out.write(std::vector<float>(160, 0.5F));
    out.flush();
    while (!heard) { // the stream stays open until the first block is read
      std::this_thread::yield();
    }
    out.write(std::vector<float>(160, -0.5F));
    out.finish();
  });
  AudioReader reader(path);
  EXPECT_EQ(reader.info().frames, std::nullopt);
  std::vector<float> block(16000);
  size_t first = reader.read(block);
  EXPECT_GT(first, 0u);
  EXPECT_EQ(block[0], 0.5F);
  heard = true;
  size_t total = first;
  while (size_t n = reader.read(block)) {
    total += n;
  }
  writer.join();
  EXPECT_EQ(total, 320u);
  EXPECT_FALSE(reader.truncated());
}

} // namespace
} // namespace mlx_audio
