// Texts as the token ids that CSM reads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/csm/config.h"
#include "text/bpe.h"

namespace mlx_audio::csm {

class TextIds {
 public:
  /// Reads tokenizer.json and tokenizer_config.json of `folder`.
  TextIds(const std::string& folder, const Config& config);

  /// <|begin_of_text|>[{speaker}]{text}<|end_of_text|>
  std::vector<int> said(int speaker, std::string_view text) const;

  /// Tokens of the bare text.
  int count(std::string_view text) const;

 private:
  text::BpeTokenizer tokenizer_;
  // Set here, never read from the text: users' words must not command the
  // model.
  std::vector<int> before_;
  std::vector<int> after_;
  bool space_;
  int vocab_;
};

} // namespace mlx_audio::csm
