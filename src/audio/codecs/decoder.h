// What AudioReader asks of a format.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "audio/source.h"
#include "mlx_audio/audio.h"

namespace mlx_audio::audio {

// Declared limits of what is read: anything beyond is refused by name.
inline constexpr int kMinRate = 1000;
inline constexpr int kMaxRate = 768000;
inline constexpr int kMaxChannels = 64;

class Decoder {
 public:
  virtual ~Decoder() = default;
  const AudioInfo& info() const {
    return info_;
  }
  /// Fills whole frames; returns their number, 0 at the end.
  virtual size_t read(std::span<float> out) = 0;
  /// After the end: does the source hold less than it declares?
  virtual bool truncated() const = 0;

 protected:
  AudioInfo info_;
};

/// What the first bytes say.
enum class Container { wav, mpeg, vorbis, sndfile, ffmpeg, unknown };
struct Sniffed {
  Container container;
  const char* name; ///< For people: "FLAC", "MP4".
};
Sniffed sniff(std::span<const uint8_t> head);

/// Two MPEG audio frames in a row within 64 KiB of the start or of the end of
/// an ID3 tag? The source must be seekable; it is left rewound.
bool has_mpeg_frames(ByteSource& source);

/// A whole Ogg stream ends with a page that is marked as its last; this one
/// does not. The source keeps its position.
bool lacks_last_page(ByteSource& source);

/// Throws corrupt_data or unsupported if the figures are beyond the limits.
void check_info(const AudioInfo& info, const std::string& name);

// Each returns null where the source is not for it; the source is then to be
// rewound. They throw corrupt_data on sources that are for them and broken.
std::unique_ptr<Decoder> make_wav_decoder(ByteSource& source);
std::unique_ptr<Decoder> make_raw_decoder(
    ByteSource& source,
    const RawPcm& raw);
std::unique_ptr<Decoder> make_mp3_decoder(ByteSource& source);
std::unique_ptr<Decoder> make_vorbis_decoder(ByteSource& source);
std::unique_ptr<Decoder> make_sndfile_decoder(ByteSource& source);
/// Throws unavailable, with `what` in its message, if the module is missing.
std::unique_ptr<Decoder> make_ffmpeg_decoder(
    ByteSource& source,
    const std::string& what);

} // namespace mlx_audio::audio
