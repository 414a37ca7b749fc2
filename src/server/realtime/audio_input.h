// Sound as clients of a realtime session send it, as samples of 16 kHz.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mlx_audio/audio.h"

namespace mlx_audio::server {

constexpr int kHearingRate = 16000; // Hz

enum class WireFormat {
  pcm16, ///< little-endian
  pcmu, ///< G.711 mu-law, 8 kHz
  pcma, ///< G.711 A-law, 8 kHz
};

class AudioInput {
 public:
  AudioInput(WireFormat format, int sample_rate);

  /// Appends what the bytes complete; a sample may be cut between two calls.
  void decode(std::span<const uint8_t> bytes, std::vector<float>& out);
  /// Appends what the resampler still holds and starts anew.
  void flush(std::vector<float>& out);
  /// Forgets what it holds.
  void reset();

 private:
  WireFormat format_;
  std::optional<Resampler> resampler_; // unless the rate is the same
  std::optional<uint8_t> half_; // of a cut sample
};

/// One sample of G.711, -1..1.
float decode_mu_law(uint8_t byte);
float decode_a_law(uint8_t byte);

} // namespace mlx_audio::server
