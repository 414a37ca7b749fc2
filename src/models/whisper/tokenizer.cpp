#include "models/whisper/tokenizer.h"

#include <algorithm>
#include <array>
#include <set>

#include "mlx_audio/error.h"
#include "models/whisper/languages.h"
#include "text/tokenizer_files.h"

namespace mlx_audio::whisper {

namespace {

constexpr int kTimestamps = 1501; // 0.00 .. 30.00 s

bool fits(const text::BpeTokenizer& bpe, const WhisperConfig& config) {
  // Ids of text: 50257 of the multilingual vocabulary, 50256 of GPT-2's.
  auto text_size = config.multilingual() ? 50257 : 50256;
  for (int id : {0, 255, 50255}) {
    if (bpe.token(id).empty()) {
      return false;
    }
  }
  auto end = bpe.special("<|endoftext|>");
  return !end || *end == text_size;
}

text::BpeTokenizer make_bpe(
    const WhisperConfig& config,
    std::optional<text::BpeSpec> spec) {
  text::BpeTokenizer bpe(
      spec ? std::move(*spec) : built_in_vocabulary(config.multilingual()));
  if (!fits(bpe, config)) {
    throw Error(
        ErrorKind::corrupt_data,
        "a tokenizer of " + std::to_string(bpe.size()) +
            " tokens does not match a model of " +
            std::to_string(config.n_vocab),
        "are the tokenizer files those of this checkpoint?");
  }
  return bpe;
}

std::string strip(std::string_view text) {
  auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && space(text.back())) {
    text.remove_suffix(1);
  }
  return std::string(text);
}

} // namespace

WhisperTokenizer::WhisperTokenizer(
    const WhisperConfig& config,
    std::optional<text::BpeSpec> bpe /* = std::nullopt */)
    : n_vocab(config.n_vocab),
      bpe_(make_bpe(config, std::move(bpe))),
      multilingual_(config.multilingual()),
      num_languages_(config.num_languages()) {
  if (num_languages_ < 1 ||
      num_languages_ > static_cast<int>(languages().size())) {
    throw Error(
        ErrorKind::corrupt_data,
        "a vocabulary of " + std::to_string(n_vocab) +
            " tokens is no Whisper's: those have 51864, 51865 or 51866");
  }
  eot = multilingual_ ? 50257 : 50256;
  sot = eot + 1;
  translate = sot + 1 + num_languages_;
  transcribe = translate + 1;
  sot_lm = transcribe + 1;
  sot_prev = sot_lm + 1;
  no_speech = sot_prev + 1;
  no_timestamps = no_speech + 1;
  timestamp_begin = no_timestamps + 1;
  static_assert(50257 + 8 + 99 + kTimestamps == 51865);
}

std::optional<int> WhisperTokenizer::language_token(
    std::string_view code) const {
  auto all = languages().first(static_cast<size_t>(num_languages_));
  for (size_t i = 0; i < all.size(); ++i) {
    if (code == all[i].code) {
      return sot + 1 + static_cast<int>(i);
    }
  }
  return std::nullopt;
}

std::string WhisperTokenizer::language_of(int token) const {
  int index = token - sot - 1;
  if (index < 0 || index >= num_languages_) {
    return "";
  }
  return languages()[static_cast<size_t>(index)].code;
}

std::vector<int> WhisperTokenizer::sot_sequence(
    std::string_view language,
    Task task) const {
  std::vector<int> sequence = {sot};
  if (multilingual_) {
    auto token = language_token(language);
    if (!token) {
      throw Error(
          ErrorKind::invalid_argument,
          "the model does not know the language '" + std::string(language) +
              "'",
          "models before large-v3 do not know Cantonese (yue)");
    }
    sequence.push_back(*token);
    sequence.push_back(task == Task::translate ? translate : transcribe);
  }
  return sequence;
}

std::string WhisperTokenizer::decode_bytes(std::span<const int> ids) const {
  std::vector<int> text;
  std::copy_if(
      ids.begin(), ids.end(), std::back_inserter(text), [this](int id) {
        return id < eot;
      });
  return bpe_.decode(text, /* skip_specials */ false);
}

std::string WhisperTokenizer::decode(std::span<const int> ids) const {
  auto bytes = decode_bytes(ids);
  auto text = text::valid_utf8(bytes);
  // A character that was never finished is one that cannot be shown.
  if (text.size() < bytes.size() && bytes.compare(0, text.size(), text) == 0) {
    text += "\xef\xbf\xbd";
  }
  return text;
}

std::vector<int> WhisperTokenizer::non_speech_tokens() const {
  // Symbols as the original lists them (tokenizer.py, non_speech_tokens).
  static constexpr std::array plain = {
      "\"",  "#",  "(",   ")",  "*",  "+",  "/",   ":",  ";",  "<",
      "=",   ">",  "@",   "[",  "\\", "]",  "^",   "_",  "`",  "{",
      "|",   "}",  "~",   "「", "」", "『", "』",  "<<", ">>", "<<<",
      ">>>", "--", "---", "-(", "-[", "('", "(\"", "((", "))", "(((",
      ")))", "[[", "]]",  "{{", "}}", "♪♪", "♪♪♪"};
  static constexpr std::array music = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
  std::set<int> tokens = {encode(" -")[0], encode(" '")[0]};
  auto add = [&](const std::string& symbol, bool first_of_many) {
    for (const auto& text : {symbol, " " + symbol}) {
      auto ids = encode(text);
      if (ids.size() == 1 || (first_of_many && !ids.empty())) {
        tokens.insert(ids[0]);
      }
    }
  };
  for (const char* symbol : plain) {
    add(symbol, false);
  }
  for (const char* symbol : music) {
    add(symbol, true);
  }
  return {tokens.begin(), tokens.end()};
}

std::vector<int> WhisperTokenizer::blank_tokens() const {
  auto tokens = encode(" ");
  tokens.push_back(eot);
  return tokens;
}

// Groups of tokens that end where a character ends.
std::vector<WhisperTokenizer::Word> WhisperTokenizer::split_characters(
    std::span<const int> tokens) const {
  std::vector<Word> words;
  std::vector<int> current;
  std::string bytes;
  auto close = [&] {
    if (!current.empty()) {
      words.push_back({text::valid_utf8(bytes), std::move(current)});
      current.clear();
      bytes.clear();
    }
  };
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= eot) {
      close();
      words.push_back({"", {tokens[i]}});
      continue;
    }
    current.push_back(tokens[i]);
    bytes += bpe_.token(tokens[i]);
    // Whole when nothing is held back for a character still to come.
    auto shown = text::valid_utf8(bytes);
    auto again = text::valid_utf8(bytes + "a");
    if (again == shown + "a") {
      close();
    }
  }
  if (!current.empty()) {
    bytes += 'a'; // shows the unfinished rest as U+FFFD
    auto shown = text::valid_utf8(bytes);
    shown.pop_back();
    words.push_back({shown, current});
  }
  return words;
}

std::vector<WhisperTokenizer::Word> WhisperTokenizer::split_words(
    std::span<const int> tokens,
    std::string_view language) const {
  auto pieces = split_characters(tokens);
  static constexpr std::array spaceless = {"zh", "ja", "th", "lo", "my", "yue"};
  if (std::find(spaceless.begin(), spaceless.end(), language) !=
      spaceless.end()) {
    return pieces;
  }
  static constexpr std::string_view punctuation =
      "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  std::vector<Word> words;
  for (auto& piece : pieces) {
    bool special = piece.tokens[0] >= eot;
    if (words.empty() || special || piece.text.starts_with(' ') ||
        punctuation.find(strip(piece.text)) != std::string_view::npos) {
      words.push_back(std::move(piece));
    } else {
      words.back().text += piece.text;
      words.back().tokens.insert(
          words.back().tokens.end(), piece.tokens.begin(), piece.tokens.end());
    }
  }
  return words;
}

WhisperTokenizer load_tokenizer(
    const std::string& folder,
    const WhisperConfig& config) {
  try {
    return WhisperTokenizer(config, text::load_tokenizer(folder));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found) {
      throw;
    }
    return WhisperTokenizer(config);
  }
}

} // namespace mlx_audio::whisper
