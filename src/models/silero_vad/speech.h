// Silero VAD (snakers4/silero-vad, MIT): how likely each 32 ms of sound is
// speech, and where speech begins and ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/lstm.h"
#include "mlx_audio/transcription.h"
#include "nn/layers.h"

namespace mlx_audio::silero_vad {

namespace mx = mlx::core;

constexpr int kChunk = 512; // samples of one decision at 16 kHz
constexpr int kContext = 64; // samples before it that are heard too

class SileroVad {
 public:
  /// Loads `folder`/model.safetensors (the published 16 kHz weights).
  explicit SileroVad(const std::string& folder);

  /// Where the recurrence stands between calls.
  struct State {
    std::vector<float> pending; // samples of an unfinished chunk
    std::vector<float> context; // the last kContext samples before them
    std::optional<mx::array> h; // [1, 128]
    std::optional<mx::array> c;
  };

  /// Probabilities of the chunks that `samples` (16 kHz) complete. `last` fills
  /// up the rest with silence.
  std::vector<float> process(
      std::span<const float> samples,
      State& state,
      bool last = false) const;

 private:
  std::vector<float> run(std::span<const float> samples, State& state) const;

  nn::Weights weights_;
  nn::Linear stft_;
  nn::Linear conv1_;
  nn::Linear conv2_;
  nn::Linear conv3_;
  nn::Linear conv4_;
  kernels::LstmWeight lstm_;
  nn::Linear out_;
};

struct SpeechRange { // samples
  int64_t begin;
  int64_t end;
};

/// Where speech is, by hysteresis over the probabilities of chunks; ranges are
/// in order and do not overlap. Longer speech than allowed is cut in the
/// longest pause of its second half, else where it is least like speech.
std::vector<SpeechRange> find_speech(
    std::span<const float> probabilities,
    int64_t total_samples,
    const VadOptions& options);

/// Neighbouring ranges joined while they and the pauses between them fit into
/// `longest` samples.
std::vector<SpeechRange> join_ranges(
    const std::vector<SpeechRange>& ranges,
    int64_t longest,
    int64_t longest_pause);

} // namespace mlx_audio::silero_vad
