// From logits to a token on the host: penalties, masks, filters and the draw,
// in the order of Hugging Face's generate().
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace mlx_audio::nn {

struct Sampling {
  float temperature = 1.0f; ///< 0 takes the most likely token
  int top_k = 0; ///< keep the k most likely; 0: all
  float top_p = 1.0f; ///< keep the fewest that hold this probability, 0..1
  float min_p = 0.0f; ///< drop those below min_p times the best, 0..1
  float repetition_penalty = 1.0f; ///< logits of seen tokens divided by this
};

/// Divides the positive logits of every distinct token of `history` by
/// `penalty` and multiplies the negative ones (Keskar et al. 2019).
void penalize_repetition(
    std::span<float> logits,
    std::span<const int> history,
    float penalty);

/// Temperature and filters in place: what is left is what softmax is taken of,
/// and dropped tokens are -infinity. Temperature must be above 0.
void filter_logits(std::span<float> logits, const Sampling& sampling);

/// Draws from softmax(logits). The same engine state gives the same token on
/// every machine.
int draw(std::span<const float> logits, std::mt19937_64& random);

/// Filters and draws, or takes the best at temperature 0. Works in place.
int sample(
    std::span<float> logits,
    const Sampling& sampling,
    std::mt19937_64& random);

} // namespace mlx_audio::nn
