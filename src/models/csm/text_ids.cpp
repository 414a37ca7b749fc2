#include "models/csm/text_ids.h"

#include <algorithm>
#include <filesystem>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"
#include "text/tokenizer_files.h"

namespace mlx_audio::csm {

namespace {

using Json = nlohmann::json;

text::BpeSpec load_spec(const std::string& folder) {
  if (!std::filesystem::exists(folder + "/tokenizer.json")) {
    throw Error(
        ErrorKind::not_found,
        "no tokenizer at '" + folder + "/tokenizer.json'",
        "put tokenizer.json and tokenizer_config.json of Llama 3.2 there");
  }
  return text::load_tokenizer(folder);
}

// A token of tokenizer_config.json, a string or an object with `content`.
std::string
token_name(const Json& config, const char* field, const char* otherwise) {
  auto found = config.find(field);
  if (found != config.end() && found->is_object()) {
    found = found->find("content");
    return found->is_string() ? found->get<std::string>() : otherwise;
  }
  return found != config.end() && found->is_string() ? found->get<std::string>()
                                                     : otherwise;
}

int special_id(const text::BpeTokenizer& tokenizer, const std::string& name) {
  auto id = tokenizer.special(name);
  if (!id) {
    throw Error(
        ErrorKind::corrupt_data,
        "the tokenizer has no token '" + name + "'",
        "are the tokenizer's files those of this checkpoint?");
  }
  return *id;
}

// The processor of tokenizer.json that puts tokens around a text, or null.
const Json* find_template(const Json& processor) {
  if (!processor.is_object()) {
    return nullptr;
  }
  auto type = processor.value("type", Json());
  if (type == "TemplateProcessing") {
    return &processor;
  }
  if (type == "Sequence" && processor.contains("processors") &&
      processor["processors"].is_array()) {
    for (const auto& part : processor["processors"]) {
      if (const Json* found = find_template(part)) {
        return found;
      }
    }
  }
  return nullptr;
}

} // namespace

TextIds::TextIds(const std::string& folder, const Config& config)
    : tokenizer_(load_spec(folder)),
      space_(config.speaker_prefix_space),
      vocab_(config.text_vocab) {
  if (!config.own_text_template) {
    std::string path = folder + "/tokenizer_config.json";
    Json names = std::filesystem::exists(path) ? checkpoint::read_json(path)
                                               : Json::object();
    before_ = {special_id(
        tokenizer_, token_name(names, "bos_token", "<|begin_of_text|>"))};
    after_ = {special_id(
        tokenizer_, token_name(names, "eos_token", "<|end_of_text|>"))};
    return;
  }
  Json json = checkpoint::read_json(folder + "/tokenizer.json");
  const Json* form = find_template(json.value("post_processor", Json()));
  if (form == nullptr || !form->contains("single") ||
      !(*form)["single"].is_array()) {
    return;
  }
  bool behind = false;
  for (const auto& part : (*form)["single"]) {
    if (part.is_object() && part.contains("Sequence")) {
      behind = true;
    } else if (part.is_object() && part.contains("SpecialToken")) {
      auto name = token_name(part["SpecialToken"], "id", "");
      (behind ? after_ : before_).push_back(special_id(tokenizer_, name));
    }
  }
}

std::vector<int> TextIds::said(int speaker, std::string_view text) const {
  std::string prefixed = "[" + std::to_string(speaker) + "]";
  if (space_) {
    prefixed += ' ';
    text.remove_prefix(
        std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  }
  prefixed += text;
  std::vector<int> ids = before_;
  auto words = tokenizer_.encode(prefixed);
  ids.insert(ids.end(), words.begin(), words.end());
  ids.insert(ids.end(), after_.begin(), after_.end());
  for (int id : ids) {
    if (id >= vocab_) {
      throw Error(
          ErrorKind::corrupt_data,
          "the tokenizer's id " + std::to_string(id) +
              " is beyond text_vocab_size " + std::to_string(vocab_),
          "are the tokenizer's files those of this checkpoint?");
    }
  }
  return ids;
}

int TextIds::count(std::string_view text) const {
  return static_cast<int>(tokenizer_.encode(text).size());
}

} // namespace mlx_audio::csm
