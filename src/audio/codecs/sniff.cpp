// What kind of file is it? By content, for names lie.
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "audio/codecs/decoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

/// Bytes of the MPEG audio frame with this header, or 0 if it is none.
size_t mpeg_frame_bytes(const uint8_t* h) {
  static constexpr int kbps[2][3][15] = {
      {{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
       {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
       {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}},
      {{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
       {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
       {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}}};
  static constexpr int rates[3] = {44100, 48000, 32000};
  int version = (h[1] >> 3) & 3; // 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
  int layer = 4 - ((h[1] >> 1) & 3);
  int bitrate = h[2] >> 4;
  int rate = (h[2] >> 2) & 3;
  if (h[0] != 0xFF || (h[1] & 0xE0) != 0xE0 || version == 1 || layer == 4 ||
      bitrate == 0 || bitrate == 15 || rate == 3) {
    return 0;
  }
  int hz = rates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
  int bits = kbps[version == 3 ? 0 : 1][layer - 1][bitrate] * 1000;
  int pad = (h[2] >> 1) & 1;
  if (layer == 1) {
    return static_cast<size_t>((12 * bits / hz + pad) * 4);
  }
  int per_frame = layer == 3 && version != 3 ? 72 : 144;
  return static_cast<size_t>(per_frame * bits / hz + pad);
}

} // namespace

bool has_mpeg_frames(ByteSource& source) {
  std::vector<uint8_t> bytes(65536 + 8192);
  std::array<uint8_t, 10> tag{};
  source.seek(0);
  size_t got = source.read_full(tag);
  uint64_t start = 0;
  if (got == tag.size() && std::memcmp(tag.data(), "ID3", 3) == 0) {
    start = 10;
    for (int i = 0; i < 4; ++i) { // four times seven bits
      start += uint64_t{tag[static_cast<size_t>(6 + i)] & 0x7FU}
          << (7 * (3 - i));
    }
  }
  source.seek(start);
  bytes.resize(source.read_full(bytes));
  source.seek(0);
  for (size_t i = 0; i + 4 <= bytes.size() && i < 65536; ++i) {
    size_t size = mpeg_frame_bytes(bytes.data() + i);
    size_t next = i + size;
    if (size == 0 || (next + 4 > bytes.size() && next != bytes.size())) {
      continue;
    }
    // The last frame of a file has none behind it.
    if (next == bytes.size() ||
        (mpeg_frame_bytes(bytes.data() + next) > 0 &&
         bytes[i + 1] == bytes[next + 1])) {
      return true;
    }
  }
  return false;
}

bool lacks_last_page(ByteSource& source) {
  constexpr uint64_t kTail = 65536 + 512; // a page is at most 65307 bytes
  uint64_t size = *source.size();
  uint64_t back = source.position();
  std::vector<uint8_t> tail(static_cast<size_t>(std::min(size, kTail)));
  source.seek(size - tail.size());
  tail.resize(source.read_full(tail));
  source.seek(back);
  bool marked = false;
  for (size_t i = 0; i + 6 <= tail.size(); ++i) {
    if (std::memcmp(tail.data() + i, "OggS", 4) == 0) {
      marked = (tail[i + 5] & 4) != 0;
    }
  }
  return !marked;
}

Sniffed sniff(std::span<const uint8_t> head) {
  auto at = [&](size_t offset, std::string_view magic) {
    return head.size() >= offset + magic.size() &&
        std::memcmp(head.data() + offset, magic.data(), magic.size()) == 0;
  };
  using enum Container;
  if ((at(0, "RIFF") || at(0, "RF64") || at(0, "BW64")) && at(8, "WAVE")) {
    return {wav, "WAV"};
  }
  if (at(0, "fLaC")) {
    return {sndfile, "FLAC"};
  }
  if (at(0, "OggS")) {
    // The first page holds one packet, the codec's header, behind 28 bytes.
    return {
        at(28, "\x01vorbis")     ? vorbis
            : at(28, "OpusHead") ? sndfile
                                 : ffmpeg,
        "Ogg"};
  }
  if (at(0, "FORM") && (at(8, "AIFF") || at(8, "AIFC"))) {
    return {sndfile, "AIFF"};
  }
  if (at(0, ".snd")) {
    return {sndfile, "AU"};
  }
  if (at(0, "riff") && at(24, "wave")) {
    return {sndfile, "Wave64"};
  }
  if (at(0, "caff")) {
    return {sndfile, "CAF"};
  }
  if (at(0, "ID3")) {
    return {mpeg, "MP3 or AAC"};
  }
  if (at(4, "ftyp")) {
    return {ffmpeg, "MP4/M4A"};
  }
  if (at(0, "\x1a\x45\xdf\xa3")) {
    return {ffmpeg, "WebM/Matroska"};
  }
  if (at(0, "#!AMR")) {
    return {ffmpeg, "AMR"};
  }
  if (at(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11")) {
    return {ffmpeg, "WMA/ASF"};
  }
  if (at(0, "RIFF") && at(8, "AVI ")) {
    return {ffmpeg, "AVI"};
  }
  if (at(0, "FLV\x01")) {
    return {ffmpeg, "FLV"};
  }
  if (head.size() >= 2 && head[0] == 0xFF && (head[1] & 0xE0) == 0xE0) {
    if ((head[1] & 0xF6) == 0xF0) { // MPEG's layer 0 is ADTS
      return {ffmpeg, "AAC"};
    }
    return {mpeg, "MP3"};
  }
  return {unknown, "unknown"};
}

void check_info(const AudioInfo& info, const std::string& name) {
  if (info.sample_rate < kMinRate || info.sample_rate > kMaxRate) {
    throw Error(
        ErrorKind::corrupt_data,
        name + " declares a sample rate of " +
            std::to_string(info.sample_rate) + " Hz",
        "Rates from 1000 to 768000 Hz can be read.");
  }
  if (info.channels < 1 || info.channels > kMaxChannels) {
    throw Error(
        ErrorKind::corrupt_data,
        name + " declares " + std::to_string(info.channels) + " channels",
        "1 to 64 channels can be read.");
  }
}

} // namespace mlx_audio::audio
