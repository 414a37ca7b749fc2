#include "models/kokoro/word_times.h"

#include <algorithm>

#include "text/unicode.h"

namespace mlx_audio::kokoro {

PhonemeIds phoneme_ids(
    const std::vector<text::PhonemeToken>& tokens,
    const std::unordered_map<std::string, int>& vocab) {
  PhonemeIds result;
  result.ids.push_back(0);
  auto append = [&](const std::string& phonemes) {
    int count = 0;
    for (size_t from = 0, to = 0; from < phonemes.size(); from = to) {
      text::decode_utf8(phonemes, to);
      auto found = vocab.find(phonemes.substr(from, to - from));
      if (found != vocab.end()) {
        result.ids.push_back(found->second);
        ++count;
      }
    }
    return count;
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    result.token_counts.push_back(append(tokens[i].phonemes));
    bool last = i + 1 == tokens.size();
    result.spaces.push_back(!last && tokens[i].space_after && append(" ") > 0);
  }
  result.ids.push_back(0);
  return result;
}

std::vector<WordTime> word_times(
    const std::vector<text::PhonemeToken>& tokens,
    const PhonemeIds& ids,
    const std::vector<int>& durations,
    double frame_seconds,
    double offset) {
  std::vector<WordTime> words;
  double half = frame_seconds / 2;
  // Counted in half frames.
  int left = 2 * std::max(0, durations.front() - 3);
  int right = left;
  size_t at = 1;
  for (size_t i = 0; i < tokens.size(); ++i) {
    int spoken = 0;
    for (int k = 0; k < ids.token_counts[i]; ++k) {
      spoken += durations[at++];
    }
    int space = ids.spaces[i] ? durations[at++] : 0;
    int start = left;
    left = right + 2 * spoken + space;
    right = left + space;
    bool word =
        ids.token_counts[i] > 0 &&
        std::any_of(
            tokens[i].text.begin(), tokens[i].text.end(), [](unsigned char c) {
              return c >= 0x80 || std::isalnum(c) != 0;
            });
    if (word) {
      words.push_back(
          {tokens[i].text, offset + start * half, offset + left * half});
    }
  }
  return words;
}

} // namespace mlx_audio::kokoro
