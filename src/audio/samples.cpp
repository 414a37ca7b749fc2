#include "audio/samples.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace mlx_audio::audio {

static_assert(std::endian::native == std::endian::little);

namespace {

// ITU-T G.711: sign, three bits of exponent, four of mantissa.
float decode_alaw(uint8_t code) {
  code ^= 0x55;
  int exponent = (code >> 4) & 7;
  int value = ((code & 15) << 4) + 8;
  if (exponent > 0) {
    value = (value + 0x100) << (exponent - 1);
  }
  return static_cast<float>(code & 0x80 ? value : -value) / 32768.0F;
}

float decode_mulaw(uint8_t code) {
  code = static_cast<uint8_t>(~code);
  int value = ((((code & 15) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
  return static_cast<float>(code & 0x80 ? -value : value) / 32768.0F;
}

template <float (*decode)(uint8_t)>
const std::array<float, 256>& table() {
  static const auto values = [] {
    std::array<float, 256> t{};
    for (size_t i = 0; i < t.size(); ++i) {
      t[i] = decode(static_cast<uint8_t>(i));
    }
    return t;
  }();
  return values;
}

template <typename T>
T load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

} // namespace

size_t storage_bytes(Storage storage) {
  switch (storage) {
    case Storage::s16:
      return 2;
    case Storage::s24:
      return 3;
    case Storage::s32:
    case Storage::f32:
      return 4;
    case Storage::f64:
      return 8;
    default:
      return 1;
  }
}

Storage storage_of(SampleFormat format) {
  switch (format) {
    case SampleFormat::s24:
      return Storage::s24;
    case SampleFormat::f32:
      return Storage::f32;
    default:
      return Storage::s16;
  }
}

void decode_samples(
    std::span<const uint8_t> bytes,
    Storage storage,
    std::span<float> samples) {
  const uint8_t* p = bytes.data();
  size_t n = samples.size();
  switch (storage) {
    case Storage::u8:
      for (size_t i = 0; i < n; ++i) {
        samples[i] = static_cast<float>(p[i] - 128) / 128.0F;
      }
      return;
    case Storage::s16:
      for (size_t i = 0; i < n; ++i) {
        samples[i] = static_cast<float>(load<int16_t>(p + 2 * i)) / 32768.0F;
      }
      return;
    case Storage::s24:
      for (size_t i = 0; i < n; ++i) {
        auto high = static_cast<int8_t>(p[3 * i + 2]);
        int32_t value = high * 65536 + p[3 * i + 1] * 256 + p[3 * i];
        samples[i] = static_cast<float>(value) / 8388608.0F;
      }
      return;
    case Storage::s32:
      for (size_t i = 0; i < n; ++i) {
        samples[i] = static_cast<float>(load<int32_t>(p + 4 * i) * 0x1p-31);
      }
      return;
    case Storage::f32:
      if (n > 0) {
        std::memcpy(samples.data(), p, n * sizeof(float));
      }
      return;
    case Storage::f64:
      for (size_t i = 0; i < n; ++i) {
        samples[i] = static_cast<float>(load<double>(p + 8 * i));
      }
      return;
    case Storage::alaw:
      for (size_t i = 0; i < n; ++i) {
        samples[i] = table<decode_alaw>()[p[i]];
      }
      return;
    case Storage::mulaw:
      for (size_t i = 0; i < n; ++i) {
        samples[i] = table<decode_mulaw>()[p[i]];
      }
      return;
  }
}

int32_t to_integer(float x, int bits) {
  float scale = bits == 24 ? 8388608.0F : 32768.0F;
  return static_cast<int32_t>(
      std::lrint(std::clamp(x * scale, -scale, scale - 1)));
}

void encode_samples(
    std::span<const float> samples,
    SampleFormat format,
    std::vector<uint8_t>& out) {
  if (samples.empty()) {
    return;
  }
  size_t at = out.size();
  size_t width = storage_bytes(storage_of(format));
  out.resize(at + samples.size() * width);
  uint8_t* p = out.data() + at;
  if (format == SampleFormat::f32) {
    std::memcpy(p, samples.data(), samples.size() * sizeof(float));
    return;
  }
  for (size_t i = 0; i < samples.size(); ++i) {
    int32_t value = to_integer(samples[i], static_cast<int>(8 * width));
    std::memcpy(p + i * width, &value, width);
  }
}

size_t find_not_finite(std::span<const float> samples) {
  // x - x is 0 for every finite x and NaN for the rest; summing a block first
  // lets the compiler vectorize the common case.
  constexpr size_t kBlock = 1024;
  for (size_t start = 0; start < samples.size(); start += kBlock) {
    auto block =
        samples.subspan(start, std::min(kBlock, samples.size() - start));
    int bad = 0;
    for (float x : block) {
      bad |= (std::bit_cast<uint32_t>(x) & 0x7f800000U) == 0x7f800000U;
    }
    if (bad != 0) {
      for (size_t i = 0; i < block.size(); ++i) {
        if (!std::isfinite(block[i])) {
          return start + i;
        }
      }
    }
  }
  return samples.size();
}

} // namespace mlx_audio::audio
