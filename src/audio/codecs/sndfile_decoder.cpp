// FLAC, Ogg Opus, AIFF, AU, W64, CAF and WAV's rarer codecs
// through libsndfile.
#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>

#include "audio/codecs/decoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

// Exceptions of the source wait here while libsndfile is on the stack.
struct Io {
  ByteSource& source;
  std::exception_ptr failure = nullptr;

  void rethrow() const {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
};

sf_count_t io_size(void* io) {
  return static_cast<sf_count_t>(*static_cast<Io*>(io)->source.size());
}

sf_count_t io_tell(void* io) {
  return static_cast<sf_count_t>(static_cast<Io*>(io)->source.position());
}

sf_count_t io_seek(sf_count_t offset, int whence, void* io) {
  auto& source = static_cast<Io*>(io)->source;
  sf_count_t base = whence == SEEK_CUR ? io_tell(io)
      : whence == SEEK_END             ? io_size(io)
                                       : 0;
  if (offset < -base || offset > (sf_count_t{1} << 60)) {
    return -1;
  }
  source.seek(static_cast<uint64_t>(base + offset));
  return base + offset;
}

sf_count_t io_read(void* out, sf_count_t n, void* io_pointer) {
  auto* io = static_cast<Io*>(io_pointer);
  if (n <= 0 || io->failure) {
    return 0;
  }
  try {
    return static_cast<sf_count_t>(io->source.read_full(
        {static_cast<uint8_t*>(out), static_cast<size_t>(n)}));
  } catch (...) {
    io->failure = std::current_exception();
    return 0;
  }
}

sf_count_t io_write(const void* /*in*/, sf_count_t /*n*/, void* /*io*/) {
  return 0;
}

std::string name_of(int command, int format) {
  SF_FORMAT_INFO info{};
  info.format = format;
  sf_command(nullptr, command, &info, sizeof(info));
  return info.name != nullptr ? info.name : "";
}

std::string describe(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_OPUS:
      return "Ogg Opus";
    default:
      break;
  }
  std::string major = (format & SF_FORMAT_TYPEMASK) == SF_FORMAT_FLAC
      ? "FLAC"
      : name_of(SFC_GET_FORMAT_INFO, format & SF_FORMAT_TYPEMASK);
  return major + ", " +
      name_of(SFC_GET_FORMAT_INFO, format & SF_FORMAT_SUBMASK);
}

SampleFormat keeping(int format) {
  switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_ALAC_20:
    case SF_FORMAT_ALAC_24:
      return SampleFormat::s24;
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_ALAC_32:
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
      return SampleFormat::f32;
    default:
      return SampleFormat::s16;
  }
}

std::optional<AudioFormat> format_of(int format) {
  int major = format & SF_FORMAT_TYPEMASK;
  int minor = format & SF_FORMAT_SUBMASK;
  if (major == SF_FORMAT_FLAC) {
    return AudioFormat::flac;
  }
  if (minor == SF_FORMAT_OPUS) {
    return AudioFormat::opus;
  }
  if (major == SF_FORMAT_WAV || major == SF_FORMAT_WAVEX) {
    return AudioFormat::wav;
  }
  return std::nullopt;
}

class SndfileDecoder : public Decoder {
 public:
  explicit SndfileDecoder(ByteSource& source) : io_{source} {
    SF_VIRTUAL_IO calls{io_size, io_seek, io_read, io_write, io_tell};
    SF_INFO sf{};
    file_ = sf_open_virtual(&calls, SFM_READ, &sf, &io_);
    if (file_ == nullptr) {
      return;
    }
    info_.sample_rate = sf.samplerate;
    info_.channels = sf.channels;
    // libsndfile gives a huge count where it knows none.
    if (sf.frames > 0 && sf.frames < (sf_count_t{1} << 48)) {
      info_.frames = static_cast<uint64_t>(sf.frames);
    }
    info_.sample_format = keeping(sf.format);
    info_.format = format_of(sf.format);
    info_.description = describe(sf.format);
    ogg_without_end_ = (sf.format & SF_FORMAT_TYPEMASK) == SF_FORMAT_OGG &&
        lacks_last_page(source);
  }
  SndfileDecoder(const SndfileDecoder&) = delete;
  SndfileDecoder& operator=(const SndfileDecoder&) = delete;
  ~SndfileDecoder() override {
    if (file_ != nullptr) {
      sf_close(file_);
    }
  }

  /// False if libsndfile does not know the format.
  bool open() const {
    io_.rethrow();
    return file_ != nullptr;
  }

  size_t read(std::span<float> out) override {
    auto channels = static_cast<sf_count_t>(info_.channels);
    auto wanted = static_cast<sf_count_t>(out.size()) / channels;
    sf_count_t got = sf_readf_float(file_, out.data(), wanted);
    io_.rethrow();
    read_ += static_cast<uint64_t>(std::max<sf_count_t>(got, 0));
    return static_cast<size_t>(std::max<sf_count_t>(got, 0));
  }

  bool truncated() const override {
    return ogg_without_end_ || read_ < info_.frames.value_or(0);
  }

 private:
  Io io_;
  SNDFILE* file_ = nullptr;
  uint64_t read_ = 0;
  bool ogg_without_end_ = false;
};

} // namespace

std::unique_ptr<Decoder> make_sndfile_decoder(ByteSource& source) {
  auto decoder = std::make_unique<SndfileDecoder>(source);
  if (!decoder->open()) {
    source.seek(0);
    return nullptr;
  }
  check_info(decoder->info(), source.name());
  return decoder;
}

} // namespace mlx_audio::audio
