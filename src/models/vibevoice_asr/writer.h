// The language model of one request: what it has read, and which token is next.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "models/vibevoice_asr/network.h"
#include "nn/sampler.h"

namespace mlx_audio::vibevoice_asr {

struct WriterSettings {
  nn::Sampling sampling{.temperature = 0};
  int repetition_context = 100; // tokens that the penalty looks back
  uint64_t seed = 0;
};

class Writer {
 public:
  /// What a repetition penalty changes: scores as they are, or their logarithms
  /// of probabilities, as the originals do for recordings and for chunks.
  enum class Penalty { logits, log_probabilities };

  Writer(
      const LanguageModel& model,
      const WriterSettings& settings,
      Penalty penalty);

  /// Reads the next positions, [steps, hidden].
  void read(const mx::array& x);
  void read(std::span<const int> ids) {
    read(model_.embed(ids));
  }

  /// The token that follows what was read; it is not read yet.
  /// @param history tokens that make themselves rarer; its end counts.
  int pick(std::span<const int> history);
  /// Logarithm of the probability of the token that was picked last.
  float log_probability() const {
    return log_probability_;
  }
  /// Scores of the next token before penalties.
  std::vector<float> logits() const;

  /// Positions read so far.
  int length() const {
    return cache_.length();
  }

 private:
  const LanguageModel& model_;
  WriterSettings settings_;
  Penalty penalty_;
  nn::KvCache cache_;
  mx::array hidden_; // [hidden], after the last position
  std::mt19937_64 random_;
  float log_probability_ = 0;
};

} // namespace mlx_audio::vibevoice_asr
