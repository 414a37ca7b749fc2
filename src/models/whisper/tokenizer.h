// Whisper's tokens: text by byte-level BPE, then the special tokens, whose ids
// follow from the size of the vocabulary alone.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/whisper/config.h"
#include "text/bpe.h"

namespace mlx_audio::whisper {

enum class Task { transcribe, translate };

class WhisperTokenizer {
 public:
  /// @param bpe nothing: the built-in vocabulary.
  /// @throws Error corrupt_data if vocabulary and model do not match.
  explicit WhisperTokenizer(
      const WhisperConfig& config,
      std::optional<text::BpeSpec> bpe = std::nullopt);

  int eot;
  int sot;
  int translate;
  int transcribe;
  int sot_lm;
  int sot_prev;
  int no_speech;
  int no_timestamps;
  int timestamp_begin;
  int n_vocab;

  bool multilingual() const {
    return multilingual_;
  }
  int num_languages() const {
    return num_languages_;
  }
  /// The token of "en"; nothing if the model does not know the language.
  std::optional<int> language_token(std::string_view code) const;
  std::string language_of(int token) const;

  /// <|startoftranscript|>, then language and task if multilingual.
  std::vector<int> sot_sequence(std::string_view language, Task task) const;

  std::vector<int> encode(std::string_view text) const {
    return bpe_.encode(text);
  }
  /// Text of all ids below `eot`; bytes that are no character become U+FFFD.
  std::string decode(std::span<const int> ids) const;
  /// The same bytes as they are.
  std::string decode_bytes(std::span<const int> ids) const;

  /// Tokens that write sounds, speaker marks and other symbols rather than
  /// speech, and which the original suppresses by default ("-1").
  std::vector<int> non_speech_tokens() const;
  /// Tokens that may not come first: a space alone, the end.
  std::vector<int> blank_tokens() const;

  struct Word {
    std::string text;
    std::vector<int> tokens;
  };
  /// Text tokens (with `eot` at the end, if any) as words: at spaces, or at
  /// characters in languages that write none.
  std::vector<Word> split_words(
      std::span<const int> tokens,
      std::string_view language) const;

 private:
  std::vector<Word> split_characters(std::span<const int> tokens) const;

  text::BpeTokenizer bpe_;
  bool multilingual_;
  int num_languages_;
};

/// The tokenizer of a checkpoint's folder if it has a usable one, else the
/// built-in one.
WhisperTokenizer load_tokenizer(
    const std::string& folder,
    const WhisperConfig& config);

/// Bytes of the built-in vocabulary by rank.
text::BpeSpec built_in_vocabulary(bool multilingual);

} // namespace mlx_audio::whisper
