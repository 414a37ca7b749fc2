// Texts as the token ids of the chat turns that the talker was trained on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/qwen3_tts/config.h"
#include "text/bpe.h"

namespace mlx_audio::qwen3_tts {

class TextIds {
 public:
  /// Reads tokenizer.json, or vocab.json with merges.txt, of `folder`.
  TextIds(const std::string& folder, const Config& config);

  /// <|im_start|>assistant\n{text}<|im_end|>\n<|im_start|>assistant\n
  std::vector<int> to_say(std::string_view text) const;
  /// <|im_start|>assistant\n{text}<|im_end|>\n
  std::vector<int> said(std::string_view text) const;
  /// <|im_start|>user\n{text}<|im_end|>\n
  std::vector<int> instruction(std::string_view text) const;

  /// Tokens of the bare text.
  int count(std::string_view text) const;

 private:
  // Special tokens are set here, never read from the text: users' words must
  // not command the model.
  void add_turn(
      std::vector<int>& ids,
      std::string_view role,
      std::string_view text) const;

  text::BpeTokenizer tokenizer_;
  int im_start_;
  int im_end_;
  int vocab_;
};

} // namespace mlx_audio::qwen3_tts
