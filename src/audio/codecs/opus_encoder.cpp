// Opus in Ogg (RFC 6716, RFC 7845) by libopus and libogg.
//
// Time in Ogg Opus is counted at 48 kHz whatever the input rate. The first
// pre_skip samples are the encoder's delay and are cut by players; the granule
// position of the last page cuts the padding at the end.
#include <ogg/ogg.h>
#include <opus/opus_multistream.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "audio/codecs/encoder.h"
#include "mlx_audio/error.h"

namespace mlx_audio::audio {

namespace {

class OggOpusEncoder : public Encoder {
 public:
  OggOpusEncoder(
      ByteSink& sink,
      int bitrate_kbps,
      int sample_rate,
      int channels)
      : sink_(sink),
        channels_(static_cast<size_t>(channels)),
        frame_(static_cast<size_t>(sample_rate) / 50), // 20 ms
        scale_(static_cast<size_t>(48000 / sample_rate)) {
    int error = 0;
    int streams = 0;
    int coupled = 0;
    unsigned char mapping[8] = {};
    int family = channels > 2 ? 1 : 0;
    opus_ = opus_multistream_surround_encoder_create(
        sample_rate,
        channels,
        family,
        &streams,
        &coupled,
        mapping,
        OPUS_APPLICATION_AUDIO,
        &error);
    if (error != OPUS_OK) {
      throw Error(
          ErrorKind::internal, std::string("[opus] ") + opus_strerror(error));
    }
    opus_multistream_encoder_ctl(opus_, OPUS_SET_BITRATE(bitrate_kbps * 1000));
    opus_int32 lookahead = 0;
    opus_multistream_encoder_ctl(opus_, OPUS_GET_LOOKAHEAD(&lookahead));
    lookahead_ = static_cast<size_t>(lookahead);
    ogg_stream_init(&ogg_, static_cast<int>(std::random_device()() >> 1));

    std::vector<uint8_t> head = {'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1};
    auto pre_skip = static_cast<uint16_t>(lookahead_ * scale_);
    auto rate = static_cast<uint32_t>(sample_rate);
    head.push_back(static_cast<uint8_t>(channels));
    append(head, pre_skip);
    append(head, rate);
    append(head, uint16_t{0}); // gain
    head.push_back(static_cast<uint8_t>(family));
    if (family == 1) {
      head.push_back(static_cast<uint8_t>(streams));
      head.push_back(static_cast<uint8_t>(coupled));
      head.insert(head.end(), mapping, mapping + channels);
    }
    packet(head, 0, false);
    pages(true); // the two headers have pages of their own

    std::vector<uint8_t> tags = {'O', 'p', 'u', 's', 'T', 'a', 'g', 's'};
    std::string vendor = opus_get_version_string();
    append(tags, static_cast<uint32_t>(vendor.size()));
    tags.insert(tags.end(), vendor.begin(), vendor.end());
    append(tags, uint32_t{0});
    packet(tags, 0, false);
    pages(true);
  }
  OggOpusEncoder(const OggOpusEncoder&) = delete;
  OggOpusEncoder& operator=(const OggOpusEncoder&) = delete;
  ~OggOpusEncoder() override {
    opus_multistream_encoder_destroy(opus_);
    ogg_stream_clear(&ogg_);
  }

  void write(std::span<const float> samples) override {
    total_ += samples.size() / channels_;
    while (!samples.empty()) {
      size_t take =
          std::min(frame_ * channels_ - pending_.size(), samples.size());
      std::transform(
          samples.begin(),
          samples.begin() + static_cast<std::ptrdiff_t>(take),
          std::back_inserter(pending_),
          [](float x) { return std::clamp(x, -1.0F, 1.0F); });
      samples = samples.subspan(take);
      if (pending_.size() == frame_ * channels_) {
        encode(false);
      }
    }
  }

  void flush() override {
    pages(true);
  }

  void finish() override {
    // The delay must be pushed out with silence, so a last packet always
    // follows to carry the end mark.
    bool last = false;
    while (!last) {
      pending_.resize(frame_ * channels_, 0.0F);
      last = encoded_ + frame_ >= total_ + lookahead_;
      encode(last);
    }
    pages(true);
  }

 private:
  template <typename T>
  static void append(std::vector<uint8_t>& out, T value) {
    uint8_t raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    out.insert(out.end(), raw, raw + sizeof(T));
  }

  void encode(bool last) {
    bytes_.resize(4000 * channels_);
    int size = opus_multistream_encode_float(
        opus_,
        pending_.data(),
        static_cast<int>(frame_),
        bytes_.data(),
        static_cast<opus_int32>(bytes_.size()));
    if (size < 0) {
      throw Error(
          ErrorKind::internal, std::string("[opus] ") + opus_strerror(size));
    }
    bytes_.resize(static_cast<size_t>(size));
    pending_.clear();
    encoded_ += frame_;
    packet(bytes_, last ? total_ + lookahead_ : encoded_, last);
    pages(false);
  }

  void packet(std::span<uint8_t> bytes, uint64_t position, bool last) {
    ogg_packet packet{};
    packet.packet = bytes.data();
    packet.bytes = static_cast<long>(bytes.size());
    packet.b_o_s = packets_ == 0 ? 1 : 0;
    packet.e_o_s = last ? 1 : 0;
    packet.granulepos = static_cast<ogg_int64_t>(position * scale_);
    packet.packetno = packets_++;
    ogg_stream_packetin(&ogg_, &packet);
  }

  void pages(bool all) {
    ogg_page page;
    while ((all ? ogg_stream_flush(&ogg_, &page)
                : ogg_stream_pageout(&ogg_, &page)) != 0) {
      sink_.write({page.header, static_cast<size_t>(page.header_len)});
      sink_.write({page.body, static_cast<size_t>(page.body_len)});
    }
  }

  ByteSink& sink_;
  size_t channels_;
  size_t frame_; // samples of a channel in a packet
  size_t scale_; // 48 kHz samples per sample of ours
  size_t lookahead_ = 0;
  uint64_t total_ = 0; // frames taken
  uint64_t encoded_ = 0; // frames in packets
  ogg_int64_t packets_ = 0;
  std::vector<float> pending_;
  std::vector<uint8_t> bytes_;
  OpusMSEncoder* opus_ = nullptr;
  ogg_stream_state ogg_{};
};

} // namespace

std::unique_ptr<Encoder> make_opus_encoder(
    ByteSink& sink,
    int bitrate_kbps,
    int sample_rate,
    int channels) {
  return std::make_unique<OggOpusEncoder>(
      sink, bitrate_kbps, sample_rate, channels);
}

} // namespace mlx_audio::audio
