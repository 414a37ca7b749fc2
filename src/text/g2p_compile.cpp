#include "text/g2p_compile.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "text/english_tagger.h"
#include "text/english_tokenizer.h"
#include "text/msgpack.h"
#include "text/sections.h"

namespace mlx_audio::text {

namespace {

using Blocks = std::map<std::string, std::string>;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    throw Error(
        ErrorKind::not_found,
        "cannot open '" + path + "'",
        "run scripts/fetch-lexicons");
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string sized(const std::string& text) {
  if (text.size() > 254) {
    throw Error(ErrorKind::corrupt_data, "entry too long: '" + text + "'");
  }
  return static_cast<char>(text.size()) + text;
}

// A value is phonemes, or the byte 1 and (tag, phonemes) pairs; a length of 255
// stands for "no phonemes under this tag".
std::map<std::string, std::string> lexicon_entries(const std::string& path) {
  std::map<std::string, std::string> out;
  try {
    const auto words = nlohmann::json::parse(read_file(path));
    for (const auto& [word, value] : words.items()) {
      if (value.is_string()) {
        out[word] = value.get<std::string>();
        continue;
      }
      std::string& record = out[word];
      record = "\x01";
      for (const auto& [tag, phonemes] : value.items()) {
        record += sized(tag);
        record += phonemes.is_null() ? std::string("\xff")
                                     : sized(phonemes.get<std::string>());
      }
    }
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorKind::corrupt_data, "'" + path + "': " + e.what());
  }
  return out;
}

// Python's \uXXXX and \UXXXXXXXX are PCRE2's \x{...}.
std::string to_pcre(std::string_view python) {
  std::string out;
  if (python.substr(0, 4) == "(?u)") {
    python.remove_prefix(4); // Unicode classes are asked for at compile time
  }
  for (size_t i = 0; i < python.size(); ++i) {
    if (python[i] != '\\' || i + 1 >= python.size()) {
      out += python[i];
      continue;
    }
    char kind = python[i + 1];
    size_t digits = kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0) {
      out += python.substr(i, 2);
      i += 1;
    } else {
      out += "\\x{" + std::string(python.substr(i + 2, digits)) + "}";
      i += 1 + digits;
    }
  }
  return out;
}

const Msgpack& node(const Msgpack& list, size_t i) {
  if (i >= list.items.size()) {
    throw Error(ErrorKind::corrupt_data, "tagger model: too few nodes");
  }
  return list.items[i];
}

// [out][piece][in] -> [in][piece][out], so that maxout compares whole vectors.
std::string transpose(std::string_view data, size_t pieces, size_t in) {
  constexpr size_t width = EnglishTagger::kWidth;
  std::string out(data.size(), '\0');
  for (size_t o = 0; o < width; ++o) {
    for (size_t p = 0; p < pieces; ++p) {
      for (size_t i = 0; i < in; ++i) {
        std::memcpy(
            out.data() + 4 * ((i * pieces + p) * width + o),
            data.data() + 4 * ((o * pieces + p) * in + i),
            4);
      }
    }
  }
  return out;
}

void add_layer(
    Blocks& blocks,
    const std::string& name,
    const Msgpack& maxout,
    const Msgpack& norm,
    size_t in) {
  constexpr size_t width = EnglishTagger::kWidth;
  constexpr size_t pieces = EnglishTagger::kPieces;
  blocks[name + ".weight"] =
      transpose(maxout.at("W").float_data(width * pieces * in), pieces, in);
  blocks[name + ".bias"] =
      transpose(maxout.at("b").float_data(width * pieces), pieces, 1);
  blocks[name + ".scale"] = norm.at("G").float_data(width);
  blocks[name + ".shift"] = norm.at("b").float_data(width);
}

// The nodes of thinc's model tree in the order that en_core_web_sm 3.x has.
void add_network(Blocks& blocks, const std::string& model) {
  constexpr size_t width = EnglishTagger::kWidth;
  std::string bytes = read_file(model + "/tok2vec/model");
  Msgpack root = Msgpack::parse(bytes);
  const Msgpack& params = root.at("params");
  const Msgpack& attrs = root.at("attrs");
  std::vector<size_t> embeds;
  std::vector<size_t> maxouts;
  const Msgpack& nodes = root.at("nodes");
  for (size_t i = 0; i < nodes.items.size(); ++i) {
    std::string_view name = nodes.items[i].at("name").text;
    if (name == "hashembed") {
      embeds.push_back(i);
    } else if (name == "maxout") {
      maxouts.push_back(i);
    }
  }
  if (embeds.size() != EnglishTagger::kFeatures ||
      maxouts.size() != EnglishTagger::kDepth + 1) {
    throw Error(
        ErrorKind::unsupported,
        "'" + model + "' is not the tagger of en_core_web_sm 3.x");
  }
  for (size_t i = 0; i < embeds.size(); ++i) {
    const Msgpack& table = node(params, embeds[i]).at("E");
    size_t count = table.at("data").text.size() / 4;
    blocks["embed" + std::to_string(i)] = table.float_data(count);
    auto seed = static_cast<uint32_t>(
        Msgpack::parse(node(attrs, embeds[i]).at("seed").text).integer);
    blocks["seeds"].append(reinterpret_cast<const char*>(&seed), 4);
  }
  for (size_t i = 0; i < maxouts.size(); ++i) {
    add_layer(
        blocks,
        i == 0 ? "mix" : "conv" + std::to_string(i - 1),
        node(params, maxouts[i]),
        node(params, maxouts[i] + 1),
        i == 0 ? EnglishTagger::kFeatures * width : 3 * width);
  }
  auto config = nlohmann::json::parse(read_file(model + "/tagger/cfg"));
  auto labels = config.at("labels").get<std::vector<std::string>>();
  size_t padded = (labels.size() + 15) / 16 * 16;
  std::string tagger = read_file(model + "/tagger/model");
  Msgpack head = Msgpack::parse(tagger);
  for (const Msgpack& param : head.at("params").items) {
    if (param.keys.empty()) {
      continue;
    }
    std::string_view w = param.at("W").float_data(labels.size() * width);
    std::string_view b = param.at("b").float_data(labels.size());
    std::string& weight = blocks["out.weight"];
    weight.assign(4 * padded * width, '\0');
    for (size_t o = 0; o < labels.size(); ++o) {
      for (size_t i = 0; i < width; ++i) {
        std::memcpy(
            weight.data() + 4 * (i * padded + o),
            w.data() + 4 * (o * width + i),
            4);
      }
    }
    blocks["out.bias"] = b;
    blocks["out.bias"].resize(4 * padded, '\0');
  }
  for (const std::string& label : labels) {
    blocks["labels"] += label + "\n";
  }
}

} // namespace

void compile_lexicon(
    const std::string& gold,
    const std::string& silver,
    const std::string& output) {
  Blocks blocks;
  StringTable::add(blocks, "gold", lexicon_entries(gold));
  StringTable::add(blocks, "silver", lexicon_entries(silver));
  write_sections(output, blocks);
}

void compile_tagger(const std::string& model, const std::string& output) {
  constexpr uint64_t orth_key = 65;
  constexpr uint64_t norm_key = 67;
  Blocks blocks;
  add_network(blocks, model);
  std::string bytes = read_file(model + "/tokenizer");
  Msgpack tokenizer = Msgpack::parse(bytes);
  blocks["prefix"] = to_pcre(tokenizer.at("prefix_search").text);
  blocks["suffix"] = to_pcre(tokenizer.at("suffix_search").text);
  blocks["infix"] = to_pcre(tokenizer.at("infix_finditer").text);
  blocks["url"] = to_pcre(tokenizer.at("url_match").text);
  std::map<std::string, std::string> rules;
  const Msgpack& exceptions = tokenizer.at("exceptions");
  for (size_t i = 0; i < exceptions.keys.size(); ++i) {
    std::string& record = rules[std::string(exceptions.keys[i].text)];
    for (const Msgpack& part : exceptions.items[i].items) {
      std::string orth;
      std::string norm;
      for (size_t j = 0; j < part.keys.size(); ++j) {
        uint64_t key = part.keys[j].integer;
        if (key == orth_key) {
          orth = part.items[j].text;
        } else if (key == norm_key) {
          norm = part.items[j].text;
        }
      }
      record += sized(orth) + sized(norm);
    }
  }
  StringTable::add(blocks, "rules", rules);
  std::string lookups = read_file(model + "/vocab/lookups.bin");
  std::map<std::string, std::string> norms;
  Msgpack tables = Msgpack::parse(lookups);
  const Msgpack& lexemes = tables.at("lexeme_norm");
  for (size_t i = 0; i < lexemes.keys.size(); ++i) {
    std::string key(8, '\0');
    for (size_t byte = 0; byte < key.size(); ++byte) {
      key[byte] = static_cast<char>(lexemes.keys[i].integer >> (56 - 8 * byte));
    }
    norms[key] = lexemes.items[i].text;
  }
  StringTable::add(blocks, "norms", norms);
  // The tokenizer itself says which exceptions its patterns tear apart.
  StringTable::add(blocks, "torn", {});
  write_sections(output, blocks);
  {
    SectionFile file(output);
    StringTable::add(blocks, "torn", EnglishTokenizer(file).torn_exceptions());
  }
  write_sections(output, blocks);
}

} // namespace mlx_audio::text
