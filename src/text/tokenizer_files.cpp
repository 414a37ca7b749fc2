#include "text/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"

namespace mlx_audio::text {

namespace {

using nlohmann::json;

constexpr int kMaxId = 1 << 22;
constexpr size_t kMaxFile = 64u << 20;

[[noreturn]] void corrupt(const std::string& what) {
  throw Error(
      ErrorKind::corrupt_data,
      what,
      "fetch the checkpoint's tokenizer files anew");
}

json parse(std::string_view text, const char* name) {
  if (text.size() > kMaxFile) {
    corrupt(std::string(name) + " is larger than 64 MB");
  }
  // Depth is bounded before anything recurses over the values.
  auto value = json::parse(
      text,
      [name](int depth, json::parse_event_t, json&) {
        if (depth > 64) {
          corrupt(std::string(name) + " is nested deeper than 64 levels");
        }
        return true;
      },
      /* allow_exceptions */ false);
  if (!value.is_object()) {
    corrupt(std::string(name) + " is no JSON object");
  }
  return value;
}

// GPT-2 writes each byte as a printable character: the printable ones of
// Latin-1 stand for themselves, the other 68 follow from U+0100 on.
const std::array<int, 0x144>& byte_of_character() {
  static const auto table = [] {
    std::array<int, 0x144> t;
    t.fill(-1);
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) ||
          (b >= 0xae && b <= 0xff);
      t[static_cast<size_t>(printable ? b : next++)] = b;
    }
    return t;
  }();
  return table;
}

std::string bytes_of(std::string_view characters) {
  std::string out;
  for (size_t i = 0; i < characters.size();) {
    auto c = static_cast<unsigned char>(characters[i]);
    unsigned code = c;
    size_t length = 1;
    if (c >= 0xc2 && c < 0xe0 && i + 1 < characters.size()) {
      code = (c & 0x1fu) << 6 |
          (static_cast<unsigned char>(characters[i + 1]) & 0x3fu);
      length = 2;
    }
    int byte = code < 0x144 ? byte_of_character()[code] : -1;
    if (byte < 0) { // not of the alphabet: an added token's plain text
      return std::string(characters);
    }
    out += static_cast<char>(byte);
    i += length;
  }
  return out;
}

int checked_id(const json& value, const std::string& token) {
  if (!value.is_number_integer()) {
    corrupt("token '" + token + "' has no whole number as its id");
  }
  auto id = value.get<int64_t>();
  if (id < 0 || id >= kMaxId) {
    corrupt("token '" + token + "' has the id " + std::to_string(id));
  }
  return static_cast<int>(id);
}

// Fills spec.tokens and returns written form -> id.
std::unordered_map<std::string, int> read_vocab(
    const json& vocab,
    BpeSpec& spec) {
  if (!vocab.is_object() || vocab.empty()) {
    corrupt("the vocabulary is empty");
  }
  std::unordered_map<std::string, int> ids;
  ids.reserve(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    int id = checked_id(value, token);
    if (static_cast<size_t>(id) >= spec.tokens.size()) {
      spec.tokens.resize(static_cast<size_t>(id) + 1);
    }
    spec.tokens[static_cast<size_t>(id)] = bytes_of(token);
    ids.emplace(token, id);
  }
  return ids;
}

void add_merge(
    std::string_view left,
    std::string_view right,
    const std::unordered_map<std::string, int>& ids,
    BpeSpec& spec) {
  auto find = [&](const std::string& token) {
    auto found = ids.find(token);
    if (found == ids.end()) {
      corrupt(
          "merge " + std::to_string(spec.merges.size() + 1) + " needs '" +
          token.substr(0, 60) + "', which the vocabulary lacks");
    }
    return found->second;
  };
  std::string l(left);
  std::string r(right);
  spec.merges.push_back({find(l), find(r), find(l + r)});
}

void add_merge_line(
    std::string_view line,
    const std::unordered_map<std::string, int>& ids,
    BpeSpec& spec) {
  size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 ||
      space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    corrupt("merge '" + std::string(line.substr(0, 60)) + "' is no pair");
  }
  add_merge(line.substr(0, space), line.substr(space + 1), ids, spec);
}

void add_special(BpeSpec& spec, const std::string& content, const json& id) {
  spec.specials.push_back({content, checked_id(id, content)});
}

// The splits of a pre_tokenizer; ByteLevel with use_regex is GPT-2's.
void read_pre_tokenizer(const json& node, BpeSpec& spec, int depth = 0) {
  if (!node.is_object() || depth > 4) {
    return;
  }
  std::string type = node.value("type", "");
  if (type == "Sequence" && node.contains("pretokenizers") &&
      node["pretokenizers"].is_array()) {
    for (const auto& part : node["pretokenizers"]) {
      read_pre_tokenizer(part, spec, depth + 1);
    }
  } else if (type == "Split" && node.contains("pattern")) {
    const auto& pattern = node["pattern"];
    if (pattern.is_object() && pattern.contains("Regex") &&
        pattern["Regex"].is_string()) {
      spec.pattern = pattern["Regex"].get<std::string>();
    }
  } else if (type == "ByteLevel") {
    auto use = node.find("use_regex");
    if (use == node.end() || !use->is_boolean() || use->get<bool>()) {
      spec.pattern = kGpt2Pattern;
    }
  }
}

} // namespace

BpeSpec parse_tokenizer_json(std::string_view text) {
  auto root = parse(text, "tokenizer.json");
  auto model = root.find("model");
  if (model == root.end() || !model->is_object() || !model->contains("vocab")) {
    corrupt("tokenizer.json has no model with a vocabulary");
  }
  auto type = model->find("type");
  if (type != model->end() && *type != "BPE") {
    throw Error(
        ErrorKind::unsupported,
        "tokenizer.json holds a model of type " + type->dump().substr(0, 40) +
            ", not BPE");
  }
  BpeSpec spec;
  auto ids = read_vocab((*model)["vocab"], spec);
  auto merges = model->find("merges");
  if (merges != model->end() && merges->is_array()) {
    spec.merges.reserve(merges->size());
    for (const auto& merge : *merges) {
      if (merge.is_string()) {
        add_merge_line(merge.get_ref<const std::string&>(), ids, spec);
      } else if (
          merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
          merge[1].is_string()) {
        add_merge(
            merge[0].get_ref<const std::string&>(),
            merge[1].get_ref<const std::string&>(),
            ids,
            spec);
      } else {
        corrupt("merge " + merge.dump().substr(0, 60) + " is no pair");
      }
    }
  }
  auto ignore = model->find("ignore_merges");
  spec.ignore_merges = ignore != model->end() && *ignore == true;
  if (root.contains("added_tokens") && root["added_tokens"].is_array()) {
    for (const auto& token : root["added_tokens"]) {
      if (!token.is_object() || !token.contains("content") ||
          !token["content"].is_string() || !token.contains("id")) {
        corrupt("an added token lacks content or id");
      }
      add_special(spec, token["content"].get<std::string>(), token["id"]);
    }
  }
  if (root.contains("pre_tokenizer")) {
    read_pre_tokenizer(root["pre_tokenizer"], spec);
  }
  if (root.contains("normalizer") && root["normalizer"].is_object()) {
    spec.normalize_nfc =
        root["normalizer"].dump().find("\"NFC\"") != std::string::npos;
  }
  return spec;
}

BpeSpec parse_vocab_merges(
    std::string_view vocab_json,
    std::string_view merges_txt,
    std::string_view added_json /* = "" */) {
  BpeSpec spec;
  auto ids = read_vocab(parse(vocab_json, "vocab.json"), spec);
  for (size_t from = 0; from < merges_txt.size();) {
    size_t end = std::min(merges_txt.find('\n', from), merges_txt.size());
    auto line = merges_txt.substr(from, end - from);
    if (!line.empty() && line.back() == '\r') {
      line.remove_suffix(1);
    }
    if (!line.empty() && !(from == 0 && line.starts_with("#version"))) {
      add_merge_line(line, ids, spec);
    }
    from = end + 1;
  }
  if (!added_json.empty()) {
    auto added = parse(added_json, "the list of added tokens");
    auto decoder = added.find("added_tokens_decoder"); // tokenizer_config.json
    if (decoder != added.end() && decoder->is_object()) {
      for (const auto& [key, token] : decoder->items()) {
        int id = 0;
        auto [end, error] =
            std::from_chars(key.data(), key.data() + key.size(), id);
        if (error != std::errc() || end != key.data() + key.size() ||
            !token.is_object() || !token.contains("content") ||
            !token["content"].is_string()) {
          corrupt("added token '" + key.substr(0, 60) + "' is malformed");
        }
        add_special(spec, token["content"].get<std::string>(), json(id));
      }
    } else { // added_tokens.json: content -> id
      for (const auto& [content, id] : added.items()) {
        if (id.is_number_integer()) {
          add_special(spec, content, id);
        }
      }
    }
  }
  return spec;
}

BpeSpec parse_tiktoken(std::string_view text) {
  static constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  BpeSpec spec;
  for (size_t from = 0; from < text.size();) {
    size_t end = std::min(text.find('\n', from), text.size());
    auto line = text.substr(from, end - from);
    from = end + 1;
    size_t space = line.rfind(' ');
    if (line.empty() || space == std::string_view::npos) {
      if (!line.empty()) {
        corrupt("line '" + std::string(line.substr(0, 60)) + "' has no rank");
      }
      continue;
    }
    std::string bytes;
    unsigned bits = 0;
    int have = 0;
    for (char c : line.substr(0, space)) {
      if (c == '=') {
        break;
      }
      size_t value = alphabet.find(c);
      if (value == std::string_view::npos) {
        corrupt("line '" + std::string(line.substr(0, 60)) + "' is no base64");
      }
      bits = (bits << 6 | static_cast<unsigned>(value)) & 0xffffff;
      have += 6;
      if (have >= 8) {
        have -= 8;
        bytes += static_cast<char>(bits >> have & 0xff);
      }
    }
    int rank = -1;
    auto digits = line.substr(space + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), rank);
    if (rank < 0 || rank >= kMaxId) {
      corrupt("line '" + std::string(line.substr(0, 60)) + "' has no rank");
    }
    if (static_cast<size_t>(rank) >= spec.tokens.size()) {
      spec.tokens.resize(static_cast<size_t>(rank) + 1);
    }
    spec.tokens[static_cast<size_t>(rank)] = std::move(bytes);
  }
  if (spec.tokens.empty()) {
    corrupt("the vocabulary is empty");
  }
  return spec;
}

std::string read_text_file(const std::string& path, size_t limit) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw Error(ErrorKind::not_found, "no file '" + path + "'");
  }
  auto size = std::filesystem::file_size(path, error);
  if (!error && size > limit) {
    throw Error(
        ErrorKind::too_large,
        "'" + path + "' has " + std::to_string(size) + " bytes, more than " +
            std::to_string(limit));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(error ? 0 : size, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (error || !in) {
    throw Error(ErrorKind::io, "cannot read '" + path + "'");
  }
  return text;
}

BpeSpec load_tokenizer(
    const std::string& folder,
    const std::string& pattern /* = kGpt2Pattern */) {
  namespace fs = std::filesystem;
  auto has = [&](const char* name) {
    return fs::is_regular_file(fs::path(folder) / name);
  };
  auto read = [&](const char* name) {
    return read_text_file((fs::path(folder) / name).string(), kMaxFile);
  };
  if (has("tokenizer.json")) {
    return parse_tokenizer_json(read("tokenizer.json"));
  }
  if (has("vocab.json") && has("merges.txt")) {
    std::string added = has("tokenizer_config.json")
        ? read("tokenizer_config.json")
        : std::string();
    if (added.find("added_tokens_decoder") == std::string::npos) {
      added = has("added_tokens.json") ? read("added_tokens.json") : "";
    }
    auto spec =
        parse_vocab_merges(read("vocab.json"), read("merges.txt"), added);
    spec.pattern = pattern;
    return spec;
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".tiktoken") {
      auto spec =
          parse_tiktoken(read_text_file(entry.path().string(), kMaxFile));
      spec.pattern = pattern;
      return spec;
    }
  }
  throw Error(
      ErrorKind::not_found,
      "no tokenizer in '" + folder + "'",
      "it should hold tokenizer.json, or vocab.json with merges.txt");
}

} // namespace mlx_audio::text
