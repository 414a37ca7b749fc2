// Which tokens may come next, and what those that may come are worth.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "models/whisper/decoding.h"

namespace mlx_audio::whisper {

class LogitRules {
 public:
  LogitRules(const WhisperTokenizer& tokenizer, const DecodeOptions& options);

  /// Applies all rules in place: -infinity for what may not follow `sampled`,
  /// the tokens that a sequence has got after its prompt.
  void apply(std::span<float> logits, std::span<const int> sampled) const;

 private:
  void apply_timestamps(std::span<float> logits, std::span<const int> sampled)
      const;

  const WhisperTokenizer& tokenizer_;
  std::vector<int> suppress_;
  std::vector<int> blank_;
  bool timestamps_;
  int max_initial_; // index; negative: no limit
  float repetition_penalty_;
};

/// log of the sum of e^x over finite and -infinite values.
float log_sum_exp(std::span<const float> x, std::vector<float>& scratch);

int argmax(std::span<const float> x);

/// The `count` largest, first the largest: (value, index).
std::vector<std::pair<float, int>> largest(std::span<const float> x, int count);

} // namespace mlx_audio::whisper
