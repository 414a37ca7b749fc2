// What is asked of a row of logits while decoding: tens of thousands of scores,
// for every token.
#pragma once

#include <span>
#include <utility>
#include <vector>

namespace mlx_audio::kernels {

/// The largest value; -infinity of none.
float maximum(std::span<const float> x);

/// The first place of the largest value; 0 of none.
int argmax(std::span<const float> x);

/// log of the sum of e^x over finite and -infinite values; -infinity of none.
float log_sum_exp(std::span<const float> x);

/// The `count` largest above -infinity, first the largest and of equal ones the
/// first: (value, index).
std::vector<std::pair<float, int>> largest(std::span<const float> x, int count);

} // namespace mlx_audio::kernels
