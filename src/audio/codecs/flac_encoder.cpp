// FLAC by libFLAC's stream encoder.
#include <FLAC/stream_encoder.h>

#include <algorithm>
#include <exception>
#include <string>

#include "audio/codecs/encoder.h"
#include "audio/samples.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

class FlacEncoder : public Encoder {
 public:
  FlacEncoder(
      ByteSink& sink,
      const AudioEncoding& encoding,
      int sample_rate,
      int channels)
      : sink_(sink),
        bits_(encoding.sample_format == SampleFormat::s24 ? 24 : 16),
        channels_(static_cast<size_t>(channels)),
        encoder_(FLAC__stream_encoder_new()) {
    if (encoder_ == nullptr) {
      throw std::bad_alloc();
    }
    FLAC__stream_encoder_set_channels(
        encoder_, static_cast<unsigned>(channels));
    FLAC__stream_encoder_set_bits_per_sample(
        encoder_, static_cast<unsigned>(bits_));
    FLAC__stream_encoder_set_sample_rate(
        encoder_, static_cast<unsigned>(sample_rate));
    FLAC__stream_encoder_set_compression_level(encoder_, 5);
    // Beyond 48 kHz the streamable subset has no code for every rate.
    FLAC__stream_encoder_set_streamable_subset(
        encoder_, sample_rate <= 65535 ? 1 : 0);
    // A frame leaves the encoder when its block is full: short blocks for live
    // streams, long ones (which compress better) for files.
    FLAC__stream_encoder_set_blocksize(
        encoder_, sink.can_patch() ? 4096 : 1152);
    FLAC__stream_encoder_set_total_samples_estimate(
        encoder_, encoding.frames.value_or(0));
    auto status = FLAC__stream_encoder_init_stream(
        encoder_,
        on_write,
        sink.can_patch() ? on_seek : nullptr,
        sink.can_patch() ? on_tell : nullptr,
        nullptr,
        this);
    if (status != FLAC__STREAM_ENCODER_INIT_STATUS_OK) {
      std::string reason = FLAC__StreamEncoderInitStatusString[status];
      FLAC__stream_encoder_delete(encoder_);
      rethrow();
      throw Error(ErrorKind::internal, "[flac] " + reason);
    }
  }
  FlacEncoder(const FlacEncoder&) = delete;
  FlacEncoder& operator=(const FlacEncoder&) = delete;

  ~FlacEncoder() override {
    abandoned_ = true; // delete finishes the stream; nobody wants those bytes
    FLAC__stream_encoder_delete(encoder_);
  }

  void write(std::span<const float> samples) override {
    constexpr size_t kBlock = 4096;
    while (!samples.empty()) {
      auto block = samples.first(std::min(kBlock * channels_, samples.size()));
      values_.resize(block.size());
      std::transform(
          block.begin(), block.end(), values_.begin(), [this](float x) {
            return to_integer(x, bits_);
          });
      check(FLAC__stream_encoder_process_interleaved(
          encoder_,
          values_.data(),
          static_cast<unsigned>(block.size() / channels_)));
      samples = samples.subspan(block.size());
    }
  }

  void finish() override {
    check(FLAC__stream_encoder_finish(encoder_));
  }

 private:
  // Exceptions of the sink wait here while libFLAC's frames are on the stack.
  template <typename Act>
  bool guard(Act act) {
    if (abandoned_ || failure_) {
      return abandoned_;
    }
    try {
      act();
      return true;
    } catch (...) {
      failure_ = std::current_exception();
      return false;
    }
  }

  static FLAC__StreamEncoderWriteStatus on_write(
      const FLAC__StreamEncoder* /*encoder*/,
      const FLAC__byte* bytes,
      size_t size,
      unsigned /*samples*/,
      unsigned /*frame*/,
      void* self_pointer) {
    auto* self = static_cast<FlacEncoder*>(self_pointer);
    bool ok = self->guard([&] {
      if (self->position_ == self->end_) {
        self->sink_.write({bytes, size});
        self->end_ += size;
      } else {
        self->sink_.patch(self->position_, {bytes, size});
      }
      self->position_ += size;
    });
    return ok ? FLAC__STREAM_ENCODER_WRITE_STATUS_OK
              : FLAC__STREAM_ENCODER_WRITE_STATUS_FATAL_ERROR;
  }

  static FLAC__StreamEncoderSeekStatus on_seek(
      const FLAC__StreamEncoder* /*encoder*/,
      FLAC__uint64 offset,
      void* self) {
    static_cast<FlacEncoder*>(self)->position_ = offset;
    return FLAC__STREAM_ENCODER_SEEK_STATUS_OK;
  }

  static FLAC__StreamEncoderTellStatus on_tell(
      const FLAC__StreamEncoder* /*encoder*/,
      FLAC__uint64* offset,
      void* self) {
    *offset = static_cast<FlacEncoder*>(self)->position_;
    return FLAC__STREAM_ENCODER_TELL_STATUS_OK;
  }

  void rethrow() {
    if (failure_) {
      std::rethrow_exception(failure_);
    }
  }

  void check(FLAC__bool ok) {
    rethrow();
    if (ok == 0) {
      throw Error(
          ErrorKind::internal,
          std::string("[flac] ") +
              FLAC__stream_encoder_get_resolved_state_string(encoder_));
    }
  }

  ByteSink& sink_;
  int bits_;
  size_t channels_;
  uint64_t position_ = 0;
  uint64_t end_ = 0;
  bool abandoned_ = false;
  std::exception_ptr failure_;
  std::vector<int32_t> values_;
  FLAC__StreamEncoder* encoder_;
};

} // namespace

std::unique_ptr<Encoder> make_flac_encoder(
    ByteSink& sink,
    const AudioEncoding& encoding,
    int sample_rate,
    int channels) {
  return std::make_unique<FlacEncoder>(sink, encoding, sample_rate, channels);
}

} // namespace mlx_audio::audio
