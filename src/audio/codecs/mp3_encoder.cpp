// MP3 by LAME.
#include <lame/lame.h>

#include <algorithm>
#include <string>

#include "audio/codecs/encoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

class Mp3Encoder : public Encoder {
 public:
  Mp3Encoder(ByteSink& sink, int bitrate_kbps, int sample_rate, int channels)
      : sink_(sink),
        channels_(static_cast<size_t>(channels)),
        lame_(lame_init()) {
    if (lame_ == nullptr) {
      throw std::bad_alloc();
    }
    lame_set_errorf(lame_, silent);
    lame_set_msgf(lame_, silent);
    lame_set_debugf(lame_, silent);
    lame_set_in_samplerate(lame_, sample_rate);
    lame_set_out_samplerate(lame_, sample_rate);
    lame_set_num_channels(lame_, channels);
    lame_set_mode(lame_, channels == 1 ? MONO : JOINT_STEREO);
    lame_set_brate(lame_, bitrate_kbps);
    lame_set_quality(lame_, 3);
    lame_set_write_id3tag_automatic(lame_, 0);
    // The tag of the first frame tells players the exact length and what to
    // cut at both ends, but must be written last. Without it, as in a live
    // stream, frames that borrow no bits from earlier ones can be cut anywhere.
    lame_set_bWriteVbrTag(lame_, sink.can_patch() ? 1 : 0);
    lame_set_disable_reservoir(lame_, sink.can_patch() ? 0 : 1);
    if (lame_init_params(lame_) < 0) {
      lame_close(lame_);
      throw Error(
          ErrorKind::invalid_argument,
          "mp3 cannot have " + std::to_string(bitrate_kbps) + " kbit/s at " +
              std::to_string(sample_rate) + " Hz");
    }
  }
  Mp3Encoder(const Mp3Encoder&) = delete;
  Mp3Encoder& operator=(const Mp3Encoder&) = delete;
  ~Mp3Encoder() override {
    lame_close(lame_);
  }

  void write(std::span<const float> samples) override {
    constexpr size_t kFrames = 8192;
    while (!samples.empty()) {
      auto block = samples.first(std::min(kFrames * channels_, samples.size()));
      auto frames = static_cast<int>(block.size() / channels_);
      bytes_.resize(
          block.size() * 2 + 7200); // LAME's own bound is 1.25 n + 7200
      clipped_.resize(block.size());
      std::transform(block.begin(), block.end(), clipped_.begin(), [](float x) {
        return std::clamp(x, -1.0F, 1.0F);
      });
      auto* out = bytes_.data();
      auto room = static_cast<int>(bytes_.size());
      put(channels_ == 1
              ? lame_encode_buffer_ieee_float(
                    lame_, clipped_.data(), nullptr, frames, out, room)
              : lame_encode_buffer_interleaved_ieee_float(
                    lame_, clipped_.data(), frames, out, room));
      samples = samples.subspan(block.size());
    }
  }

  void finish() override {
    bytes_.resize(16384);
    put(lame_encode_flush(
        lame_, bytes_.data(), static_cast<int>(bytes_.size())));
    if (sink_.can_patch()) {
      size_t size = lame_get_lametag_frame(lame_, bytes_.data(), bytes_.size());
      if (size > 0 && size <= bytes_.size() && size <= written_) {
        sink_.patch(0, {bytes_.data(), size});
      }
    }
  }

 private:
  static void silent(const char* /*format*/, va_list /*arguments*/) {}

  void put(int size) {
    if (size < 0) {
      throw Error(
          ErrorKind::internal,
          "[mp3] LAME failed with " + std::to_string(size));
    }
    sink_.write({bytes_.data(), static_cast<size_t>(size)});
    written_ += static_cast<size_t>(size);
  }

  ByteSink& sink_;
  size_t channels_;
  uint64_t written_ = 0;
  std::vector<float> clipped_;
  std::vector<uint8_t> bytes_;
  lame_t lame_;
};

} // namespace

std::unique_ptr<Encoder> make_mp3_encoder(
    ByteSink& sink,
    int bitrate_kbps,
    int sample_rate,
    int channels) {
  return std::make_unique<Mp3Encoder>(
      sink, bitrate_kbps, sample_rate, channels);
}

} // namespace mlx_audio::audio
