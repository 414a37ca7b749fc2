// Which tokens may come next.
#pragma once

#include <span>
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
  size_t resumed_; // tokens of a window that goes on; it has more to say
  bool timestamps_;
  int max_initial_; // index; negative: no limit
  float repetition_penalty_;
};

} // namespace mlx_audio::whisper
