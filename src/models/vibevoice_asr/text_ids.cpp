#include "models/vibevoice_asr/text_ids.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "mlx_audio/error.h"
#include "text/tokenizer_files.h"

namespace mlx_audio::vibevoice_asr {

namespace {

constexpr const char* kSystem =
    "You are a helpful assistant that transcribes audio input into text output "
    "in JSON format.";
constexpr const char* kKeys = "Start time, End time, Speaker ID, Content";
constexpr const char* kStreaming =
    "You are a helpful assistant that transcribes audio input into text "
    "output. Please transcribe the following audios streamingly with these "
    "keys: speaker, content";

// Added tokens of Qwen 2 that its tokenizer does not call special.
constexpr const char* kPlainTokens[] = {
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>"};

text::BpeSpec load_spec(const std::string& folder) {
  try {
    auto spec = text::load_tokenizer(folder, text::kQwenPattern);
    // vocab.json and merges.txt do not say what the Qwen 2 tokenizer does
    // first.
    if (!std::filesystem::exists(folder + "/tokenizer.json")) {
      spec.normalize_nfc = true;
    }
    return spec;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) {
      throw;
    }
    throw Error(
        ErrorKind::not_found,
        error.what(),
        "the checkpoint needs the Qwen2 tokenizer's tokenizer.json (or "
        "vocab.json, merges.txt and added_tokens.json): copy them from "
        "Qwen/Qwen2.5-7B");
  }
}

int token(const text::BpeTokenizer& tokenizer, const char* content) {
  auto id = tokenizer.special(content);
  if (!id) {
    throw Error(
        ErrorKind::corrupt_data,
        std::string("the tokenizer has no token '") + content + "'",
        "keep tokenizer.json, or added_tokens.json and tokenizer_config.json, "
        "as they came with the checkpoint");
  }
  return *id;
}

std::string strip(const std::string& text) {
  const char* spaces = " \t\n\r\f\v";
  auto from = text.find_first_not_of(spaces);
  return from == std::string::npos
      ? ""
      : text.substr(from, text.find_last_not_of(spaces) - from + 1);
}

} // namespace

std::string with_hotwords(
    const std::string& context,
    const std::string& hotwords) {
  std::string words;
  for (size_t from = 0; from <= hotwords.size();) {
    size_t end = std::min(hotwords.find(',', from), hotwords.size());
    auto word = strip(hotwords.substr(from, end - from));
    if (!word.empty()) {
      words += (words.empty() ? "" : ", ") + word;
    }
    from = end + 1;
  }
  if (words.empty()) {
    return context;
  }
  return context.empty() ? words : context + "\n" + words;
}

TextIds::TextIds(const std::string& folder, const Config& config)
    : tokenizer_(load_spec(folder)),
      vocab_(config.vocab),
      turn_start_(token(tokenizer_, "<|im_start|>")),
      turn_end_(token(tokenizer_, "<|im_end|>")),
      end_of_text_(token(tokenizer_, "<|endoftext|>")),
      speech_start_(token(tokenizer_, "<|object_ref_start|>")),
      speech_end_(token(tokenizer_, "<|object_ref_end|>")),
      speech_pad_(token(tokenizer_, "<|box_start|>")),
      chunk_end_(
          config.streaming()
              ? token(tokenizer_, "<|text_chunk_end|>")
              : tokenizer_.special("<|text_chunk_end|>").value_or(-1)) {
  for (const char* content : kPlainTokens) {
    if (auto id = tokenizer_.special(content)) {
      plain_.insert(*id);
    }
  }
  for (int id :
       {turn_start_,
        turn_end_,
        end_of_text_,
        speech_start_,
        speech_end_,
        speech_pad_,
        chunk_end_}) {
    if (id >= vocab_) {
      throw Error(
          ErrorKind::corrupt_data,
          "the tokenizer's id " + std::to_string(id) +
              " is beyond vocab_size " + std::to_string(vocab_),
          "are the tokenizer's files those of this checkpoint?");
    }
  }
}

std::string TextIds::bytes(std::span<const int> ids) const {
  std::string out;
  for (int id : ids) {
    bool skip = plain_.count(id) == 0;
    out += tokenizer_.decode(std::span(&id, 1), skip);
  }
  return out;
}

void TextIds::add(std::vector<int>& ids, std::string_view text) const {
  for (int id : tokenizer_.encode(text)) {
    if (id >= vocab_) {
      throw Error(
          ErrorKind::corrupt_data,
          "the tokenizer's id " + std::to_string(id) +
              " is beyond vocab_size " + std::to_string(vocab_),
          "are the tokenizer's files those of this checkpoint?");
    }
    ids.push_back(id);
  }
}

TextIds::Prompt
TextIds::prompt(int frames, double seconds, const std::string& context) const {
  char length[48];
  std::snprintf(length, sizeof(length), "%.2f", seconds);
  std::string request =
      std::string("\nThis is a ") + length + " seconds audio, ";
  auto extra = strip(context);
  request += extra.empty() ? "please transcribe it with these keys: "
                           : "with extra info: " + extra +
          "\n\nPlease transcribe it with these keys: ";
  request += kKeys;

  Prompt prompt;
  auto& ids = prompt.ids;
  ids.push_back(turn_start_);
  add(ids, std::string("system\n") + kSystem);
  ids.push_back(turn_end_);
  add(ids, "\n");
  ids.push_back(turn_start_);
  add(ids, "user\n");
  ids.push_back(speech_start_);
  prompt.speech_begin = static_cast<int>(ids.size());
  ids.insert(ids.end(), static_cast<size_t>(frames), speech_pad_);
  ids.push_back(speech_end_);
  add(ids, request);
  ids.push_back(turn_end_);
  add(ids, "\n");
  ids.push_back(turn_start_);
  add(ids, "assistant\n");
  return prompt;
}

std::vector<int> TextIds::streaming_prompt(const std::string& context) const {
  std::vector<int> ids;
  std::string text = kStreaming;
  if (!context.empty()) {
    text += " and extra info: " + context;
  }
  add(ids, text + "\n");
  return ids;
}

} // namespace mlx_audio::vibevoice_asr
