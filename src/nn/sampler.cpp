#include "nn/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/logits.h"

namespace mlx_audio::nn {

namespace {

constexpr float kDropped = -std::numeric_limits<float>::infinity();

} // namespace

void penalize_repetition(
    std::span<float> logits,
    std::span<const int> history,
    float penalty) {
  if (penalty == 1.0f) {
    return;
  }
  std::vector<bool> seen(logits.size());
  for (int token : history) {
    if (token >= 0 && token < static_cast<int>(logits.size()) && !seen[token]) {
      seen[token] = true;
      float& value = logits[token];
      value = value < 0 ? value * penalty : value / penalty;
    }
  }
}

void filter_logits(std::span<float> logits, const Sampling& s) {
  for (float& value : logits) {
    value /= s.temperature;
  }
  if (s.top_k > 0 && s.top_k < static_cast<int>(logits.size())) {
    std::vector<float> sorted(logits.begin(), logits.end());
    auto kth = sorted.begin() + (s.top_k - 1);
    std::nth_element(sorted.begin(), kth, sorted.end(), std::greater<>());
    float least = *kth; // ties stay
    for (float& value : logits) {
      value = value < least ? kDropped : value;
    }
  }
  if (s.top_p < 1.0f) {
    std::vector<int> order;
    for (int i = 0; i < static_cast<int>(logits.size()); ++i) {
      if (logits[i] != kDropped) {
        order.push_back(i);
      }
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return logits[a] < logits[b];
    });
    double best = order.empty() ? 0 : logits[order.back()];
    double total = 0;
    for (int i : order) {
      total += std::exp(logits[i] - best);
    }
    // From the least likely up, as long as what is dropped is at most 1 - p.
    double sum = 0;
    for (size_t i = 0; i + 1 < order.size(); ++i) {
      sum += std::exp(logits[order[i]] - best) / total;
      if (sum > 1.0 - s.top_p) {
        break;
      }
      logits[order[i]] = kDropped;
    }
  }
  if (s.min_p > 0) {
    float least = kernels::maximum(logits) + std::log(s.min_p);
    for (float& value : logits) {
      value = value < least ? kDropped : value;
    }
  }
}

int draw(std::span<const float> logits, std::mt19937_64& random) {
  double best = kernels::maximum(logits);
  double total = 0;
  for (float value : logits) {
    total += value == kDropped ? 0 : std::exp(value - best);
  }
  // 53 bits by hand: std::uniform_real_distribution differs among libraries.
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  int last = kernels::argmax(logits);
  for (int i = 0; i < static_cast<int>(logits.size()); ++i) {
    double p = logits[i] == kDropped ? 0 : std::exp(logits[i] - best);
    if (p > 0) {
      last = i;
      left -= p;
      if (left < 0) {
        break;
      }
    }
  }
  return last;
}

int sample(
    std::span<float> logits,
    const Sampling& sampling,
    std::mt19937_64& random) {
  if (sampling.temperature <= 0) {
    return kernels::argmax(logits);
  }
  filter_logits(logits, sampling);
  return draw(logits, random);
}

} // namespace mlx_audio::nn
