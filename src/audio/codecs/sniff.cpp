// What kind of file is it? By content, for names lie.
#include <cstring>
#include <string_view>

#include "audio/codecs/decoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

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
    return {sndfile, "Ogg"};
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
    return {sndfile, "MP3 or AAC"};
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
    return {sndfile, "MP3"};
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
