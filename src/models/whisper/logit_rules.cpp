#include "models/whisper/logit_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/pointwise.h"

namespace mlx_audio::whisper {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

} // namespace

LogitRules::LogitRules(
    const WhisperTokenizer& tokenizer,
    const DecodeOptions& options)
    : tokenizer_(tokenizer),
      suppress_(options.suppress),
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
  float best_text = *std::max_element(
      logits.begin(), logits.begin() + tokenizer_.timestamp_begin);
  std::vector<float> scratch;
  if (log_sum_exp(logits.subspan(begin), scratch) > best_text) {
    forbid(0, begin);
  }
}

float log_sum_exp(std::span<const float> x, std::vector<float>& scratch) {
  float top = *std::max_element(x.begin(), x.end());
  if (!(top > kNever)) {
    return kNever;
  }
  scratch.resize(x.size());
  std::transform(
      x.begin(), x.end(), scratch.begin(), [top](float v) { return v - top; });
  kernels::pointwise(
      kernels::Pointwise::exp,
      scratch.data(),
      scratch.data(),
      static_cast<int64_t>(scratch.size()));
  double sum = 0;
  // Partial sums keep the order fixed and the loop fast.
  for (size_t i = 0; i < scratch.size(); i += 64) {
    float part = 0;
    for (size_t j = i; j < std::min(i + 64, scratch.size()); ++j) {
      part += scratch[j];
    }
    sum += part;
  }
  return top + static_cast<float>(std::log(sum));
}

int argmax(std::span<const float> x) {
  return static_cast<int>(std::max_element(x.begin(), x.end()) - x.begin());
}

std::vector<std::pair<float, int>> largest(
    std::span<const float> x,
    int count) {
  std::vector<std::pair<float, int>> top; // sorted, best first
  auto limit = static_cast<size_t>(count);
  float lowest = kNever;
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] > lowest || (top.size() < limit && x[i] > kNever)) {
      auto at = std::upper_bound(
          top.begin(), top.end(), x[i], [](float value, const auto& entry) {
            return value > entry.first;
          });
      top.insert(at, {x[i], static_cast<int>(i)});
      if (top.size() > limit) {
        top.pop_back();
      }
      if (top.size() == limit) {
        lowest = top.back().first;
      }
    }
  }
  return top;
}

} // namespace mlx_audio::whisper
