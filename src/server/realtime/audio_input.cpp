#include "server/realtime/audio_input.h"

namespace mlx_audio::server {

namespace {

// Sign, exponent and mantissa of G.711, in 16-bit steps.
float with_sign(bool negative, int magnitude) {
  return static_cast<float>(negative ? -magnitude : magnitude) / 32768;
}

} // namespace

float decode_mu_law(uint8_t byte) {
  unsigned code = ~static_cast<unsigned>(byte) & 0xff;
  unsigned exponent = (code >> 4) & 7;
  unsigned mantissa = code & 15;
  int magnitude = static_cast<int>(((mantissa * 2 + 33) << exponent) - 33) * 4;
  return with_sign((code & 0x80) != 0, magnitude);
}

float decode_a_law(uint8_t byte) {
  unsigned code = static_cast<unsigned>(byte) ^ 0x55;
  unsigned exponent = (code >> 4) & 7;
  unsigned mantissa = (code & 15) * 2 + 1;
  unsigned magnitude =
      exponent == 0 ? mantissa : (mantissa + 32) << (exponent - 1);
  return with_sign((code & 0x80) == 0, static_cast<int>(magnitude * 8));
}

AudioInput::AudioInput(WireFormat format, int sample_rate) : format_(format) {
  if (sample_rate != kHearingRate) {
    resampler_.emplace(sample_rate, kHearingRate);
  }
}

void AudioInput::decode(
    std::span<const uint8_t> bytes,
    std::vector<float>& out) {
  std::vector<float> samples;
  if (format_ == WireFormat::pcm16) {
    samples.reserve(bytes.size() / 2 + 1);
    for (uint8_t byte : bytes) {
      if (!half_) {
        half_ = byte;
        continue;
      }
      auto value = static_cast<int16_t>(
          static_cast<uint16_t>(*half_ | static_cast<unsigned>(byte) << 8));
      samples.push_back(static_cast<float>(value) / 32768);
      half_.reset();
    }
  } else {
    samples.reserve(bytes.size());
    for (uint8_t byte : bytes) {
      samples.push_back(
          format_ == WireFormat::pcmu ? decode_mu_law(byte)
                                      : decode_a_law(byte));
    }
  }
  if (resampler_) {
    resampler_->process(samples, out);
  } else {
    out.insert(out.end(), samples.begin(), samples.end());
  }
}

void AudioInput::flush(std::vector<float>& out) {
  if (resampler_) {
    resampler_->flush(out);
  }
  reset();
}

void AudioInput::reset() {
  half_.reset();
  if (resampler_) {
    resampler_->reset();
  }
}

} // namespace mlx_audio::server
