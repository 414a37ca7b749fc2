// WAV files made by hand, so that broken ones can be made too.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace mlx_audio {

using Bytes = std::vector<uint8_t>;

template <typename T>
Bytes le(T value) {
  Bytes out(sizeof(T));
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

inline Bytes text(const std::string& id) {
  Bytes out;
  for (char c : id) {
    out.push_back(static_cast<uint8_t>(c));
  }
  return out;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  for (uint8_t x : b) {
    a.push_back(x);
  }
  return a;
}

inline Bytes chunk(const std::string& id, const Bytes& body) {
  Bytes out = text(id) + le(static_cast<uint32_t>(body.size())) + body;
  return body.size() % 2 != 0 ? out + Bytes{0} : out;
}

struct WavSpec {
  uint16_t code = 1;
  uint16_t channels = 1;
  uint32_t rate = 24000;
  uint16_t bits = 16;
};

inline Bytes fmt_chunk(const WavSpec& s) {
  auto block = static_cast<uint16_t>(s.channels * ((s.bits + 7) / 8));
  return chunk(
      "fmt ",
      le(s.code) + le(s.channels) + le(s.rate) + le<uint32_t>(s.rate * block) +
          le(block) + le(s.bits));
}

inline Bytes riff(const Bytes& chunks) {
  return text("RIFF") + le(static_cast<uint32_t>(chunks.size() + 4)) +
      text("WAVE") + chunks;
}

inline Bytes wav(const WavSpec& spec, const Bytes& data) {
  return riff(fmt_chunk(spec) + chunk("data", data));
}

} // namespace mlx_audio
