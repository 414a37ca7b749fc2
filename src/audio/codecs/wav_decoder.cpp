// WAV (RIFF, RF64, BW64) and raw samples, from files and pipes alike. Codecs
// other than PCM, float and G.711 are left to libsndfile and FFmpeg.
#include <algorithm>
#include <array>
#include <cstring>

#include "audio/codecs/decoder.h"
#include "audio/samples.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

// Programs that write to pipes declare one of many huge sizes; from here on a
// size says nothing about where the samples end.
constexpr uint64_t kEndless = 0x7F000000;

template <typename T>
T load(std::span<const uint8_t> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

bool is(std::span<const uint8_t> bytes, size_t at, const char* id) {
  return std::memcmp(bytes.data() + at, id, 4) == 0;
}

class SamplesDecoder : public Decoder {
 public:
  /// `size` bytes of samples follow in the source.
  SamplesDecoder(
      ByteSource& source,
      AudioInfo info,
      Storage storage,
      uint64_t size,
      bool size_is_certain)
      : source_(source),
        storage_(storage),
        left_(size),
        size_is_certain_(size_is_certain) {
    info_ = std::move(info);
    block_ = storage_bytes(storage) * static_cast<size_t>(info_.channels);
    left_ -= left_ % block_; // an odd rest belongs to no frame
  }

  size_t read(std::span<float> out) override {
    auto channels = static_cast<size_t>(info_.channels);
    size_t wanted = std::min<uint64_t>(
        {out.size() / channels,
         left_ / block_,
         std::max<size_t>(size_t{65536} / block_, 1)});
    if (wanted == 0) {
      return 0;
    }
    bytes_.resize(wanted * block_);
    size_t got = source_.read(bytes_);
    if (size_t rest = got % block_; got > 0 && rest > 0) {
      auto tail = std::span(bytes_).subspan(got, block_ - rest);
      got += source_.read_full(tail);
    }
    size_t frames = got / block_;
    if (frames == 0) {
      short_ = true;
      return 0;
    }
    left_ -= frames * block_;
    decode_samples(bytes_, storage_, out.first(frames * channels));
    return frames;
  }

  bool truncated() const override {
    return short_ && size_is_certain_;
  }

 private:
  ByteSource& source_;
  Storage storage_;
  uint64_t left_;
  bool size_is_certain_;
  size_t block_ = 1;
  bool short_ = false;
  std::vector<uint8_t> bytes_;
};

[[noreturn]] void corrupt(const ByteSource& source, const std::string& what) {
  throw Error(
      ErrorKind::corrupt_data,
      source.name() + " is a broken WAV file: " + what);
}

struct Fmt {
  unsigned code = 0;
  unsigned channels = 0;
  uint32_t rate = 0;
  unsigned block = 0;
  unsigned bits = 0;
};

Fmt parse_fmt(std::span<const uint8_t> chunk) {
  Fmt fmt;
  fmt.code = load<uint16_t>(chunk, 0);
  fmt.channels = load<uint16_t>(chunk, 2);
  fmt.rate = load<uint32_t>(chunk, 4);
  fmt.block = load<uint16_t>(chunk, 12);
  fmt.bits = load<uint16_t>(chunk, 14);
  if (fmt.code == 0xFFFE && chunk.size() >= 26) {
    fmt.code = load<uint16_t>(chunk, 24); // first field of the GUID
  }
  return fmt;
}

std::optional<Storage> storage_of(const Fmt& fmt) {
  unsigned width = fmt.channels > 0 ? fmt.block / fmt.channels : 0;
  if (width == 0 || width * fmt.channels != fmt.block || fmt.bits == 0 ||
      (fmt.bits + 7) / 8 != width) {
    return std::nullopt;
  }
  switch (fmt.code) {
    case 1: {
      constexpr std::array pcm = {
          Storage::u8, Storage::s16, Storage::s24, Storage::s32};
      return width <= 4 ? std::optional(pcm[width - 1]) : std::nullopt;
    }
    case 3:
      return width == 4 ? std::optional(Storage::f32)
          : width == 8  ? std::optional(Storage::f64)
                        : std::nullopt;
    case 6:
      return width == 1 ? std::optional(Storage::alaw) : std::nullopt;
    case 7:
      return width == 1 ? std::optional(Storage::mulaw) : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::string describe(Storage storage, unsigned bits) {
  switch (storage) {
    case Storage::f32:
    case Storage::f64:
      return "WAV, " + std::to_string(bits) + "-bit float";
    case Storage::alaw:
      return "WAV, A-law";
    case Storage::mulaw:
      return "WAV, mu-law";
    default:
      return "WAV, " + std::to_string(bits) + "-bit PCM";
  }
}

SampleFormat keeping(Storage storage) {
  switch (storage) {
    case Storage::s24:
      return SampleFormat::s24;
    case Storage::s32:
    case Storage::f32:
    case Storage::f64:
      return SampleFormat::f32;
    default:
      return SampleFormat::s16;
  }
}

void skip(ByteSource& source, uint64_t n) {
  if (source.size()) {
    source.seek(source.position() + n);
    return;
  }
  std::array<uint8_t, 4096> scrap;
  while (n > 0) {
    size_t got = source.read(
        std::span(scrap).first(
            static_cast<size_t>(std::min<uint64_t>(n, scrap.size()))));
    if (got == 0) {
      return;
    }
    n -= got;
  }
}

} // namespace

std::unique_ptr<Decoder> make_wav_decoder(ByteSource& source) {
  std::array<uint8_t, 12> head{};
  if (source.read_full(head) < head.size()) {
    corrupt(source, "it ends within its header");
  }
  bool rf64 = is(head, 0, "RF64") || is(head, 0, "BW64");
  uint64_t riff_end = 8 + uint64_t{load<uint32_t>(head, 4)};
  std::optional<Fmt> fmt;
  uint64_t ds64_data = 0;
  // A sound file has a handful of chunks before its samples.
  for (int chunks = 0; chunks < 1000; ++chunks) {
    std::array<uint8_t, 8> chunk{};
    if (source.read_full(chunk) < chunk.size()) {
      corrupt(source, "it has no samples ('data' is missing)");
    }
    uint64_t size = load<uint32_t>(chunk, 4);
    if (is(chunk, 0, "data")) {
      if (!fmt) {
        corrupt(source, "its samples come before their format");
      }
      auto storage = storage_of(*fmt);
      if (!storage) {
        return nullptr;
      }
      AudioInfo info;
      info.sample_rate =
          static_cast<int>(std::min<uint32_t>(fmt->rate, INT32_MAX));
      info.channels = static_cast<int>(fmt->channels);
      info.sample_format = keeping(*storage);
      info.format = AudioFormat::wav;
      info.description = describe(*storage, fmt->bits);
      check_info(info, source.name());
      bool certain = size < kEndless;
      if (rf64 && size == 0xFFFFFFFF) {
        size = ds64_data;
        certain = size > 0 && size < uint64_t{1} << 62;
      }
      // A header that its writer never came back to fill in.
      if (size == 0 && riff_end <= source.position()) {
        certain = false;
      }
      uint64_t after = UINT64_MAX;
      if (source.size()) {
        after = *source.size() - std::min(*source.size(), source.position());
      }
      if (!certain && (size == 0 || size > after || !source.size())) {
        size = UINT64_MAX;
      }
      uint64_t there = std::min(size, after);
      if (there != UINT64_MAX) {
        info.frames = there / fmt->block;
      }
      return std::make_unique<SamplesDecoder>(
          source, std::move(info), *storage, size, certain);
    }
    if (is(chunk, 0, "fmt ")) {
      if (size < 16 || size > 65536) {
        corrupt(
            source, "its format chunk has " + std::to_string(size) + " bytes");
      }
      std::vector<uint8_t> body(static_cast<size_t>(size));
      if (source.read_full(body) < body.size()) {
        corrupt(source, "it ends within its header");
      }
      fmt = parse_fmt(body);
      skip(source, size % 2);
    } else if (is(chunk, 0, "ds64") && size >= 24 && size <= 65536) {
      std::vector<uint8_t> body(static_cast<size_t>(size));
      if (source.read_full(body) < body.size()) {
        corrupt(source, "it ends within its header");
      }
      ds64_data = load<uint64_t>(body, 8);
      skip(source, size % 2);
    } else {
      skip(source, size + size % 2);
    }
  }
  corrupt(source, "it has more than 1000 chunks before its samples");
}

std::unique_ptr<Decoder> make_raw_decoder(
    ByteSource& source,
    const RawPcm& raw) {
  Storage storage = audio::storage_of(raw.sample_format);
  AudioInfo info;
  info.sample_rate = raw.sample_rate;
  info.channels = raw.channels;
  info.sample_format = raw.sample_format;
  info.format = AudioFormat::pcm;
  info.description = std::string("raw ") + to_string(raw.sample_format);
  if (raw.sample_rate < kMinRate || raw.sample_rate > kMaxRate ||
      raw.channels < 1 || raw.channels > kMaxChannels) {
    throw Error(
        ErrorKind::invalid_argument,
        "raw audio cannot have " + std::to_string(raw.sample_rate) +
            " Hz and " + std::to_string(raw.channels) + " channels",
        "Give 1000 to 768000 Hz and 1 to 64 channels.");
  }
  if (source.size()) {
    info.frames = *source.size() /
        (storage_bytes(storage) * static_cast<size_t>(raw.channels));
  }
  return std::make_unique<SamplesDecoder>(
      source, std::move(info), storage, UINT64_MAX, false);
}

} // namespace mlx_audio::audio
