// What the talker is given before the first frame, and what it is given with
// each frame: text and code embeddings, summed position by position.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/qwen3_tts/talker.h"

namespace mlx_audio::qwen3_tts {

/// Speech that the prompt shows as already spoken: the text and its codes. The
/// model goes on in its voice and manner (in-context cloning).
struct SpokenContext {
  mx::array codes; // [frames, groups]
  std::vector<int> text_ids; // <|im_start|>assistant\n{text}<|im_end|>\n
};

struct PromptRequest {
  std::vector<int> text_ids; // the whole assistant turn and the next's opening
  std::vector<int> instruct_ids; // the user turn; may be empty
  std::string language = "auto"; // lower-case name
  std::string speaker; // lower-case preset voice; may be empty
  std::optional<mx::array> voice = {}; // [hidden], of the speaker encoder
  const SpokenContext* context = nullptr;
  /// All text before the first frame; else one token of it with each frame.
  bool whole_text_first = true;
};

struct Prompt {
  mx::array embeds; // [positions, hidden]
  mx::array trailing; // [frames, hidden]: added to the input after each frame
  mx::array pad; // [1, hidden]: added when `trailing` is used up
};

/// The code of a language or of the dialect that the speaker speaks; none for
/// "auto". @throws Error invalid_argument for a language that the model has
/// not.
std::optional<int> language_code(
    const Config& config,
    const std::string& language,
    const std::string& speaker);

Prompt make_prompt(
    const Talker& talker,
    const Config& config,
    const PromptRequest& request);

} // namespace mlx_audio::qwen3_tts
