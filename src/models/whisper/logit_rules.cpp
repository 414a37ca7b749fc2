#include "models/whisper/logit_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/logits.h"

namespace mlx_audio::whisper {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

} // namespace

LogitRules::LogitRules(
    const WhisperTokenizer& tokenizer,
    const DecodeOptions& options)
    : tokenizer_(tokenizer),
      suppress_(options.suppress),
      resumed_(options.resume.size()),
      timestamps_(options.timestamps),
      max_initial_(
          options.max_initial_timestamp < 0
              ? -1
              : static_cast<int>(std::lround(
                    options.max_initial_timestamp / kTimePrecision))),
      repetition_penalty_(static_cast<float>(options.repetition_penalty)) {
  if (options.suppress_blank) {
    blank_ = tokenizer.blank_tokens();
  }
}

void LogitRules::apply(std::span<float> logits, std::span<const int> sampled)
    const {
  if (repetition_penalty_ != 1.0f) {
    std::vector<int> said(sampled.begin(), sampled.end());
    std::sort(said.begin(), said.end());
    said.erase(std::unique(said.begin(), said.end()), said.end());
    for (int token : said) {
      if (token < tokenizer_.eot) { // times must be free to repeat in pairs
        float& x = logits[static_cast<size_t>(token)];
        x = x > 0 ? x / repetition_penalty_ : x * repetition_penalty_;
      }
    }
  }
  if (sampled.empty()) {
    for (int token : blank_) {
      logits[static_cast<size_t>(token)] = kNever;
    }
  }
  if (resumed_ > 0 && sampled.size() == resumed_) {
    logits[static_cast<size_t>(tokenizer_.eot)] = kNever;
  }
  for (int token : suppress_) {
    logits[static_cast<size_t>(token)] = kNever;
  }
  if (timestamps_) {
    apply_timestamps(logits, sampled);
  }
}

void LogitRules::apply_timestamps(
    std::span<float> logits,
    std::span<const int> sampled) const {
  const auto begin = static_cast<size_t>(tokenizer_.timestamp_begin);
  const auto text_end = static_cast<size_t>(tokenizer_.eot);
  auto is_time = [&](int token) { return token >= tokenizer_.timestamp_begin; };
  auto forbid = [&](size_t from, size_t to) {
    std::fill(
        logits.begin() + static_cast<std::ptrdiff_t>(from),
        logits.begin() + static_cast<std::ptrdiff_t>(to),
        kNever);
  };
  logits[static_cast<size_t>(tokenizer_.no_timestamps)] = kNever;

  // Times come in pairs, except right before the end.
  size_t n = sampled.size();
  bool last = n >= 1 && is_time(sampled[n - 1]);
  bool before_last = n < 2 || is_time(sampled[n - 2]);
  if (last) {
    if (before_last) {
      forbid(begin, logits.size());
    } else {
      forbid(0, text_end);
    }
  }
  // Times never decrease, and a segment has a length.
  for (size_t i = n; i > 0; --i) {
    if (is_time(sampled[i - 1])) {
      auto time = static_cast<size_t>(sampled[i - 1]);
      forbid(begin, last && !before_last ? time : time + 1);
      break;
    }
  }
  if (n == 0) {
    forbid(0, begin);
    if (max_initial_ >= 0) {
      size_t first_forbidden = begin + static_cast<size_t>(max_initial_) + 1;
      if (first_forbidden < logits.size()) {
        forbid(first_forbidden, logits.size());
      }
    }
  }
  // If a time is likelier than any one text token, it must be a time.
  float best_text = kernels::maximum(logits.first(begin));
  if (kernels::log_sum_exp(logits.subspan(begin)) > best_text) {
    forbid(0, begin);
  }
}

} // namespace mlx_audio::whisper
