// From text tokens to network input, and from predicted durations back to the
// times of words.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "mlx_audio/speech.h"
#include "text/phonemizer.h"

namespace mlx_audio::kokoro {

struct PhonemeIds {
  std::vector<int> ids; // with the end tokens
  std::vector<int> token_counts; // ids of each token's phonemes
  std::vector<bool> spaces; // whether an id for a space follows the token
};

/// Phonemes that the vocabulary lacks are left out, as upstream does.
PhonemeIds phoneme_ids(
    const std::vector<text::PhonemeToken>& tokens,
    const std::unordered_map<std::string, int>& vocab);

/// Words with start and end in seconds; `offset` is where the chunk starts.
/// Times as hexgrad/kokoro's pipeline.py: half of a space belongs to each
/// neighbour, and the first three frames of the leading token are not counted.
std::vector<WordTime> word_times(
    const std::vector<text::PhonemeToken>& tokens,
    const PhonemeIds& ids,
    const std::vector<int>& durations, // frames, one an id
    double frame_seconds,
    double offset);

} // namespace mlx_audio::kokoro
