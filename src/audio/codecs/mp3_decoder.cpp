// MPEG audio by libmpg123, as libsndfile does it but silent about what is wrong
// with a file.
#include <mpg123.h>

#include <algorithm>
#include <exception>

#include "audio/codecs/decoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

class Mp3Decoder : public Decoder {
 public:
  explicit Mp3Decoder(ByteSource& source) : source_(source) {
    int error = mpg123_init();
    mpg123_ = mpg123_new(nullptr, &error);
    if (mpg123_ == nullptr) {
      throw Error(ErrorKind::internal, mpg123_plain_strerror(error));
    }
    // Gapless cuts what the LAME tag says was added at both ends.
    mpg123_param(
        mpg123_,
        MPG123_ADD_FLAGS,
        MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_GAPLESS,
        0);
    mpg123_param(mpg123_, MPG123_RESYNC_LIMIT, 65536, 0);
    mpg123_replace_reader_handle(mpg123_, on_read, on_seek, nullptr);
    long rate = 0;
    int channels = 0;
    int encoding = 0;
    opened_ = mpg123_open_handle(mpg123_, this) == MPG123_OK &&
        mpg123_getformat(mpg123_, &rate, &channels, &encoding) == MPG123_OK &&
        encoding == MPG123_ENC_FLOAT_32;
    if (failure_) {
      mpg123_delete(mpg123_);
      std::rethrow_exception(failure_);
    }
    if (!opened_) {
      return;
    }
    info_.sample_rate = static_cast<int>(rate);
    info_.channels = channels;
    off_t frames = mpg123_length(mpg123_);
    if (frames > 0) {
      info_.frames = static_cast<uint64_t>(frames);
    }
    mpg123_frameinfo about{};
    mpg123_info(mpg123_, &about);
    info_.description = about.layer == 3 ? "MP3" : "MPEG audio";
    if (about.layer == 3) {
      info_.format = AudioFormat::mp3;
    }
  }
  Mp3Decoder(const Mp3Decoder&) = delete;
  Mp3Decoder& operator=(const Mp3Decoder&) = delete;
  ~Mp3Decoder() override {
    mpg123_delete(mpg123_);
  }

  bool open() const {
    return opened_;
  }

  size_t read(std::span<float> out) override {
    auto channels = static_cast<size_t>(info_.channels);
    size_t wanted = out.size() / channels * channels * sizeof(float);
    size_t got = 0;
    int code = mpg123_read(mpg123_, out.data(), wanted, &got);
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    if (code == MPG123_NEW_FORMAT && read_ > 0) {
      throw Error(
          ErrorKind::corrupt_data,
          source_.name() + " changes its rate or channels on the way");
    }
    if (code == MPG123_NEW_FORMAT && got == 0) {
      return read(out); // the first frame announces the format once more
    }
    // Other errors are broken frames with nothing good behind: the end.
    size_t frames = got / (channels * sizeof(float));
    read_ += frames;
    return frames;
  }

  bool truncated() const override {
    // Without a tag the length is an estimate.
    uint64_t declared = info_.frames.value_or(0);
    return read_ + std::max<uint64_t>(declared / 200, 4608) < declared;
  }

 private:
  static ssize_t on_read(void* opaque, void* out, size_t size) {
    auto* self = static_cast<Mp3Decoder*>(opaque);
    try {
      return static_cast<ssize_t>(
          self->source_.read({static_cast<uint8_t*>(out), size}));
    } catch (...) {
      self->failure_ = std::current_exception();
      return -1;
    }
  }

  static off_t on_seek(void* opaque, off_t offset, int whence) {
    auto& source = static_cast<Mp3Decoder*>(opaque)->source_;
    auto base = static_cast<off_t>(
        whence == SEEK_CUR       ? source.position()
            : whence == SEEK_END ? *source.size()
                                 : 0);
    if (offset < -base || offset > (off_t{1} << 60)) {
      return -1;
    }
    source.seek(static_cast<uint64_t>(base + offset));
    return base + offset;
  }

  ByteSource& source_;
  mpg123_handle* mpg123_ = nullptr;
  bool opened_ = false;
  uint64_t read_ = 0;
  std::exception_ptr failure_;
};

} // namespace

std::unique_ptr<Decoder> make_mp3_decoder(ByteSource& source) {
  if (!has_mpeg_frames(source)) {
    return nullptr;
  }
  auto decoder = std::make_unique<Mp3Decoder>(source);
  if (!decoder->open()) {
    source.seek(0);
    return nullptr;
  }
  check_info(decoder->info(), source.name());
  return decoder;
}

} // namespace mlx_audio::audio
