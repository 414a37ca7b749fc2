// What the language model reads and writes as token ids: the prompts of
// VibeVoice-ASR and its streaming checkpoints. Follows
// vibevoice/processor/vibevoice_asr_processor.py.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "models/vibevoice_asr/config.h"
#include "text/bpe.h"

namespace mlx_audio::vibevoice_asr {

/// Context and hotwords (separated by commas) as one text; may be empty.
std::string with_hotwords(
    const std::string& context,
    const std::string& hotwords);

class TextIds {
 public:
  /// @throws Error not_found without a tokenizer's files, corrupt_data for one
  ///   that lacks a token which the model needs
  TextIds(const std::string& folder, const Config& config);

  /// A conversation about `seconds` of sound. Its `frames` are ids of
  /// speech_pad() in a row, from `speech_begin` on.
  struct Prompt {
    std::vector<int> ids;
    int speech_begin = 0;
  };
  Prompt prompt(int frames, double seconds, const std::string& context) const;

  /// What comes before the chunks of a streaming checkpoint.
  std::vector<int> streaming_prompt(const std::string& context) const;

  int speech_start() const {
    return speech_start_;
  }
  int speech_end() const {
    return speech_end_;
  }
  int speech_pad() const {
    return speech_pad_;
  }
  /// Ends each chunk's text; -1: the vocabulary has none.
  int chunk_end() const {
    return chunk_end_;
  }
  /// Whether a token ends the transcript: <|endoftext|> as in the original, and
  /// the released vocabulary's <|im_end|> as in mlx-audio.
  bool ends(int id) const {
    return id == end_of_text_ || id == kReleasedTurnEnd;
  }
  /// Whether it ends a chunk's text.
  bool ends_chunk(int id) const {
    return id == chunk_end_ || id == end_of_text_;
  }

  /// Bytes of the ids without special tokens; may end within a character.
  std::string bytes(std::span<const int> ids) const;

 private:
  static constexpr int kReleasedTurnEnd = 151645;

  void add(std::vector<int>& ids, std::string_view text) const;

  text::BpeTokenizer tokenizer_;
  int vocab_;
  int turn_start_;
  int turn_end_;
  int end_of_text_;
  int speech_start_;
  int speech_end_;
  int speech_pad_;
  int chunk_end_;
  std::set<int> plain_; // added tokens that are text like any other
};

} // namespace mlx_audio::vibevoice_asr
