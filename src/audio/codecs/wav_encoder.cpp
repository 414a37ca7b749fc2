// WAV and headerless PCM.
//
// A sink that cannot be patched gets the sizes 0xFFFFFFFF, which readers take
// as "to the end". A file leaves room for RF64's ds64 chunk (EBU Tech 3306) in
// a JUNK chunk, so that more than 4 GiB still gets true sizes.
#include <algorithm>
#include <string_view>

#include "audio/codecs/encoder.h"
#include "audio/samples.h"

namespace mlx_audio::audio {

namespace {

class Bytes {
 public:
  Bytes& text(std::string_view id) {
    for (char c : id) {
      data.push_back(static_cast<uint8_t>(c));
    }
    return *this;
  }
  Bytes& u16(uint64_t value) {
    return number(value, 2);
  }
  Bytes& u32(uint64_t value) {
    return number(value, 4);
  }
  Bytes& u64(uint64_t value) {
    return number(value, 8);
  }
  std::vector<uint8_t> data;

 private:
  Bytes& number(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      data.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
    return *this;
  }
};

class PcmEncoder : public Encoder {
 public:
  PcmEncoder(ByteSink& sink, SampleFormat format)
      : sink_(sink), format_(format) {}

  void write(std::span<const float> samples) override {
    constexpr size_t kBlock = 16384;
    while (!samples.empty()) {
      auto block = samples.first(std::min(kBlock, samples.size()));
      bytes_.clear();
      encode_samples(block, format_, bytes_);
      sink_.write(bytes_);
      written_ += bytes_.size();
      samples = samples.subspan(block.size());
    }
  }

  void finish() override {}

 protected:
  ByteSink& sink_;
  SampleFormat format_;
  uint64_t written_ = 0; // bytes of samples

 private:
  std::vector<uint8_t> bytes_;
};

class WavEncoder : public PcmEncoder {
 public:
  WavEncoder(
      ByteSink& sink,
      const AudioEncoding& encoding,
      int sample_rate,
      int channels)
      : PcmEncoder(sink, encoding.sample_format),
        sample_rate_(static_cast<uint64_t>(sample_rate)),
        channels_(static_cast<uint64_t>(channels)) {
    uint64_t declared = kUnknown;
    if (encoding.frames && *encoding.frames < UINT64_MAX / 512) {
      declared = *encoding.frames * channels_ * width();
    }
    room_ = declared == kUnknown ? sink.can_patch() : declared > kAll - 256;
    sink_.write(header(declared));
  }

  void finish() override {
    if (written_ % 2 != 0) { // chunks are padded to even length
      const uint8_t zero = 0;
      sink_.write({&zero, 1});
    }
    if (sink_.can_patch()) {
      sink_.patch(0, header(written_));
    }
  }

 private:
  static constexpr uint64_t kUnknown = UINT64_MAX;
  static constexpr uint64_t kAll = 0xFFFFFFFF;

  uint64_t width() const {
    return storage_bytes(storage_of(format_));
  }

  std::vector<uint8_t> header(uint64_t size) const {
    bool is_float = format_ == SampleFormat::f32;
    bool extensible = channels_ > 2;
    uint64_t bits = 8 * width();
    uint64_t block = width() * channels_;
    uint64_t fmt = extensible ? 40 : is_float ? 18 : 16;
    uint64_t ds64 = room_ ? 36 : 0;
    uint64_t fact = is_float ? 12 : 0;
    uint64_t head = 4 + ds64 + 8 + fmt + fact + 8;
    uint64_t riff =
        size == kUnknown ? kUnknown : head + size + size % 2; // after its size
    bool large = size != kUnknown && riff >= kAll;
    if (large && !room_) { // more than was declared: "to the end"
      large = false;
      riff = size = kUnknown;
    }
    uint64_t code = is_float ? 3 : 1;
    Bytes out;
    out.text(large ? "RF64" : "RIFF").u32(large ? kAll : riff).text("WAVE");
    if (large) {
      out.text("ds64").u32(28).u64(riff).u64(size).u64(size / block).u32(0);
    } else if (ds64 > 0) {
      out.text("JUNK").u32(28).u64(0).u64(0).u64(0).u32(0);
    }
    out.text("fmt ").u32(fmt).u16(extensible ? 0xFFFE : code).u16(channels_);
    out.u32(sample_rate_).u32(sample_rate_ * block).u16(block).u16(bits);
    if (extensible) {
      // Valid bits, no speaker positions, then the GUID of the sample type.
      out.u16(22).u16(bits).u32(0).u16(code).u16(0).u16(0).u16(0x0010);
      out.u32(0xAA000080).u32(0x719B3800);
    } else if (is_float) {
      out.u16(0);
    }
    if (is_float) {
      uint64_t frames = size == kUnknown || large ? kAll : size / block;
      out.text("fact").u32(4).u32(frames);
    }
    out.text("data").u32(large ? kAll : size);
    return out.data;
  }

  uint64_t sample_rate_;
  uint64_t channels_;
  bool room_ = false; // for ds64
};

} // namespace

std::unique_ptr<Encoder> make_wav_encoder(
    ByteSink& sink,
    const AudioEncoding& encoding,
    int sample_rate,
    int channels) {
  return std::make_unique<WavEncoder>(sink, encoding, sample_rate, channels);
}

std::unique_ptr<Encoder> make_pcm_encoder(ByteSink& sink, SampleFormat format) {
  return std::make_unique<PcmEncoder>(sink, format);
}

} // namespace mlx_audio::audio
