// Ogg Vorbis by libvorbisfile: libsndfile 1.2 leaks memory on broken streams.
#define OV_EXCLUDE_STATIC_CALLBACKS
#include <vorbis/vorbisfile.h>

#include <algorithm>
#include <exception>

#include "audio/codecs/decoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

class VorbisDecoder : public Decoder {
 public:
  explicit VorbisDecoder(ByteSource& source) : source_(source) {
    ov_callbacks calls{on_read, on_seek, nullptr, on_tell};
    int code = ov_open_callbacks(this, &file_, nullptr, 0, calls);
    opened_ = code == 0; // on failure it has cleared itself
    if (failure_) {
      close();
      std::rethrow_exception(failure_);
    }
    if (!opened_) {
      return;
    }
    const vorbis_info* about = ov_info(&file_, -1);
    info_.sample_rate = static_cast<int>(about->rate);
    info_.channels = about->channels;
    ogg_int64_t frames = ov_pcm_total(&file_, -1);
    if (frames > 0) {
      info_.frames = static_cast<uint64_t>(frames);
    }
    info_.description = "Ogg Vorbis";
    without_end_ = lacks_last_page(source);
  }
  VorbisDecoder(const VorbisDecoder&) = delete;
  VorbisDecoder& operator=(const VorbisDecoder&) = delete;
  ~VorbisDecoder() override {
    close();
  }

  bool open() const {
    return opened_;
  }

  size_t read(std::span<float> out) override {
    auto channels = static_cast<size_t>(info_.channels);
    auto wanted =
        static_cast<int>(std::min<size_t>(out.size() / channels, 1 << 16));
    float** planes = nullptr;
    long got = OV_HOLE;
    // A hole is a lost page: what follows it may be good.
    for (int holes = 0; got == OV_HOLE && holes < 1000; ++holes) {
      got = ov_read_float(&file_, &planes, wanted, nullptr);
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    if (got <= 0) {
      return 0;
    }
    const vorbis_info* now = ov_info(&file_, -1);
    if (now->rate != info_.sample_rate || now->channels != info_.channels) {
      throw Error(
          ErrorKind::corrupt_data,
          source_.name() + " changes its rate or channels on the way");
    }
    auto frames = static_cast<size_t>(got);
    for (size_t c = 0; c < channels; ++c) {
      for (size_t i = 0; i < frames; ++i) {
        out[i * channels + c] = planes[c][i];
      }
    }
    read_ += frames;
    return frames;
  }

  bool truncated() const override {
    return without_end_ || read_ < info_.frames.value_or(0);
  }

 private:
  void close() {
    if (opened_) {
      ov_clear(&file_);
      opened_ = false;
    }
  }

  static size_t on_read(void* out, size_t size, size_t count, void* opaque) {
    auto* self = static_cast<VorbisDecoder*>(opaque);
    try {
      size_t n =
          self->source_.read_full({static_cast<uint8_t*>(out), size * count});
      return size > 0 ? n / size : 0;
    } catch (...) {
      self->failure_ = std::current_exception();
      return 0;
    }
  }

  static int on_seek(void* opaque, ogg_int64_t offset, int whence) {
    auto& source = static_cast<VorbisDecoder*>(opaque)->source_;
    auto base = static_cast<ogg_int64_t>(
        whence == SEEK_CUR       ? source.position()
            : whence == SEEK_END ? *source.size()
                                 : 0);
    if (offset < -base || offset > (ogg_int64_t{1} << 60)) {
      return -1;
    }
    source.seek(static_cast<uint64_t>(base + offset));
    return 0;
  }

  static long on_tell(void* opaque) {
    return static_cast<long>(
        static_cast<VorbisDecoder*>(opaque)->source_.position());
  }

  ByteSource& source_;
  OggVorbis_File file_{};
  bool opened_ = false;
  bool without_end_ = false;
  uint64_t read_ = 0;
  std::exception_ptr failure_;
};

} // namespace

std::unique_ptr<Decoder> make_vorbis_decoder(ByteSource& source) {
  auto decoder = std::make_unique<VorbisDecoder>(source);
  if (!decoder->open()) {
    source.seek(0);
    return nullptr;
  }
  check_info(decoder->info(), source.name());
  return decoder;
}

} // namespace mlx_audio::audio
