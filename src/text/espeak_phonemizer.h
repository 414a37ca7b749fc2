// From eSpeak's IPA to the phonemes that Kokoro knows: whole texts in languages
// without dictionaries of ours, and single unknown English words.
// Mappings: misaki 0.9.4, misaki/espeak.py (Apache-2.0); marks are kept as the
// Python package phonemizer keeps them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/espeak.h"
#include "text/phonemizer.h"

namespace mlx_audio::text {

/// Answers for lines of text, one IPA string a line; tests put their own in.
using IpaSource =
    std::function<std::vector<std::string>(const std::vector<std::string>&)>;

/// A Phonemizer of es, fr, hi, it or pt_br.
std::unique_ptr<Phonemizer> make_espeak_phonemizer(
    Language language,
    IpaSource source);

/// An IpaSource that asks an Espeak process.
IpaSource espeak_source(
    const PhonemizerOptions& options,
    const std::string& voice);

/// Pronounces English words that no dictionary has; remembers them.
class UnknownWords {
 public:
  /// @param source may be empty: then nothing is known
  UnknownWords(IpaSource source, bool british)
      : source_(std::move(source)), british_(british) {}

  bool available() const {
    return static_cast<bool>(source_);
  }
  bool known(const std::string& word) const {
    return cache_.count(word) != 0;
  }
  /// Asks for all words in one go. @throws Error unavailable
  void learn(const std::vector<std::string>& words);
  /// Phonemes of one word, asking if need be; empty if nothing is spoken.
  const std::u32string& pronounce(const std::string& word);

 private:
  IpaSource source_;
  bool british_;
  std::unordered_map<std::string, std::u32string> cache_;
};

} // namespace mlx_audio::text
