#include "models/qwen3_tts/text_ids.h"

#include <filesystem>

#include "mlx_audio/error.h"
#include "text/tokenizer_files.h"

namespace mlx_audio::qwen3_tts {

namespace {

text::BpeSpec load_spec(const std::string& folder) {
  auto spec = text::load_tokenizer(folder, text::kQwenPattern);
  // vocab.json and merges.txt do not say what the Qwen 2 tokenizer does first.
  if (!std::filesystem::exists(folder + "/tokenizer.json")) {
    spec.normalize_nfc = true;
  }
  return spec;
}

} // namespace

TextIds::TextIds(const std::string& folder, const Config& config)
    : tokenizer_(load_spec(folder)),
      im_start_(config.im_start),
      im_end_(config.im_end),
      vocab_(config.text_vocab) {}

void TextIds::add_turn(
    std::vector<int>& ids,
    std::string_view role,
    std::string_view text) const {
  ids.push_back(im_start_);
  auto words = tokenizer_.encode(std::string(role) + "\n" + std::string(text));
  for (int id : words) {
    if (id >= vocab_) {
      throw Error(
          ErrorKind::corrupt_data,
          "the tokenizer's id " + std::to_string(id) +
              " is beyond text_vocab_size " + std::to_string(vocab_),
          "are the tokenizer's files those of this checkpoint?");
    }
  }
  ids.insert(ids.end(), words.begin(), words.end());
}

std::vector<int> TextIds::said(std::string_view text) const {
  std::vector<int> ids;
  add_turn(ids, "assistant", text);
  ids.push_back(im_end_);
  auto line = tokenizer_.encode("\n");
  ids.insert(ids.end(), line.begin(), line.end());
  return ids;
}

std::vector<int> TextIds::to_say(std::string_view text) const {
  auto ids = said(text);
  add_turn(ids, "assistant", "");
  return ids;
}

std::vector<int> TextIds::instruction(std::string_view text) const {
  std::vector<int> ids;
  add_turn(ids, "user", text);
  ids.push_back(im_end_);
  auto line = tokenizer_.encode("\n");
  ids.insert(ids.end(), line.begin(), line.end());
  return ids;
}

int TextIds::count(std::string_view text) const {
  return static_cast<int>(tokenizer_.encode(text).size());
}

} // namespace mlx_audio::qwen3_tts
