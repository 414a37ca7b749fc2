#include "models/whisper/config.h"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "text/tokenizer_files.h"

namespace mlx_audio::whisper {

namespace {

using nlohmann::json;
using Heads = std::vector<std::pair<int, int>>;

json read_json(const std::string& path) {
  auto value =
      json::parse(text::read_text_file(path, 16u << 20), nullptr, false);
  if (!value.is_object()) {
    throw Error(ErrorKind::corrupt_data, "'" + path + "' holds no JSON object");
  }
  return value;
}

// The heads that OpenAI published with each checkpoint (whisper/__init__.py).
// A shape shared by two checkpoints (large v1 and v2) gets the later one's.
Heads published_heads(const WhisperConfig& c) {
  bool english = !c.multilingual();
  switch (c.n_text_layer * 100 + c.n_text_head) {
    case 406:
      return english
          ? Heads{{1, 0}, {2, 0}, {2, 5}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}}
          : Heads{{2, 2}, {3, 0}, {3, 2}, {3, 3}, {3, 4}, {3, 5}};
    case 608:
      return english
          ? Heads{{3, 3}, {4, 7}, {5, 1}, {5, 5}, {5, 7}}
          : Heads{
                {3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6}};
    case 1212:
      return english
          ? Heads{{6, 6}, {7, 0}, {7, 3}, {7, 8}, {8, 2}, {8, 5}, {8, 7}, {9, 0}, {9, 4}, {9, 8}, {9, 10}, {10, 0}, {10, 1}, {10, 2}, {10, 3}, {10, 6}, {10, 11}, {11, 2}, {11, 4}}
          : Heads{
                {5, 3},
                {5, 9},
                {8, 0},
                {8, 4},
                {8, 7},
                {8, 8},
                {9, 0},
                {9, 7},
                {9, 9},
                {10, 5}};
    case 2416:
      return english
          ? Heads{{11, 4}, {14, 1}, {14, 12}, {14, 14}, {15, 4}, {16, 0}, {16, 4}, {16, 9}, {17, 12}, {17, 14}, {18, 7}, {18, 10}, {18, 15}, {20, 0}, {20, 3}, {20, 9}, {20, 14}, {21, 12}}
          : Heads{{13, 15}, {15, 4}, {15, 15}, {16, 1}, {20, 0}, {23, 4}};
    case 420:
      return {{2, 4}, {2, 11}, {3, 3}, {3, 6}, {3, 11}, {3, 14}};
    case 3220:
      return c.n_mels == 128
          ? Heads{{7, 0}, {10, 17}, {12, 18}, {13, 12}, {16, 1}, {17, 14}, {19, 11}, {21, 4}, {24, 1}, {25, 6}}
          : Heads{{10, 12}, {13, 17}, {16, 11}, {16, 12}, {16, 13}, {17, 15},
                  {17, 16}, {18, 4},  {18, 11}, {18, 19}, {19, 11}, {21, 2},
                  {21, 3},  {22, 3},  {22, 9},  {22, 12}, {23, 5},  {23, 7},
                  {23, 13}, {25, 5},  {26, 1},  {26, 12}, {27, 15}};
    default:
      break;
  }
  Heads heads;
  for (int layer = c.n_text_layer / 2; layer < c.n_text_layer; ++layer) {
    for (int head = 0; head < c.n_text_head; ++head) {
      heads.emplace_back(layer, head);
    }
  }
  return heads;
}

Heads parse_heads(const json& value, const WhisperConfig& c) {
  Heads heads;
  if (!value.is_array()) {
    return heads;
  }
  for (const auto& pair : value) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer() ||
        !pair[1].is_number_integer()) {
      return {};
    }
    auto layer = pair[0].get<int64_t>();
    auto head = pair[1].get<int64_t>();
    if (layer < 0 || layer >= c.n_text_layer || head < 0 ||
        head >= c.n_text_head) {
      throw Error(
          ErrorKind::corrupt_data,
          "alignment head " + pair.dump() + " does not exist in a decoder of " +
              std::to_string(c.n_text_layer) + " layers of " +
              std::to_string(c.n_text_head) + " heads");
    }
    heads.emplace_back(static_cast<int>(layer), static_cast<int>(head));
  }
  return heads;
}

} // namespace

WhisperConfig parse_config(const json& config) {
  WhisperConfig c;
  auto field = [&](const char* original, const char* hf, int low, int high) {
    const char* name = config.contains(original) ? original : hf;
    auto found = config.find(name);
    if (found == config.end() || !found->is_number_integer()) {
      throw Error(
          ErrorKind::corrupt_data,
          std::string("config.json has no '") + original + "' or '" + hf + "'",
          "is it the config of a Whisper model?");
    }
    auto value = found->get<int64_t>();
    if (value < low || value > high) {
      throw Error(
          ErrorKind::corrupt_data,
          std::string("config.json: ") + name + " is " + std::to_string(value) +
              ", not " + std::to_string(low) + ".." + std::to_string(high));
    }
    return static_cast<int>(value);
  };
  c.n_mels = field("n_mels", "num_mel_bins", 8, 512);
  c.n_audio_ctx = field("n_audio_ctx", "max_source_positions", 1500, 1500);
  c.n_audio_state = field("n_audio_state", "d_model", 8, 8192);
  c.n_audio_head = field("n_audio_head", "encoder_attention_heads", 1, 256);
  c.n_audio_layer = field("n_audio_layer", "encoder_layers", 1, 256);
  c.n_vocab = field("n_vocab", "vocab_size", 51864, 1 << 20);
  c.n_text_ctx = field("n_text_ctx", "max_target_positions", 16, 8192);
  c.n_text_state = field("n_text_state", "d_model", 8, 8192);
  c.n_text_head = field("n_text_head", "decoder_attention_heads", 1, 256);
  c.n_text_layer = field("n_text_layer", "decoder_layers", 1, 256);
  if (c.n_audio_state % c.n_audio_head != 0 ||
      c.n_text_state % c.n_text_head != 0) {
    throw Error(
        ErrorKind::corrupt_data,
        "config.json: a width of " + std::to_string(c.n_text_state) +
            " does not divide into " + std::to_string(c.n_text_head) +
            " heads");
  }
  if (config.contains("alignment_heads")) {
    c.alignment_heads = parse_heads(config["alignment_heads"], c);
  }
  return c;
}

WhisperConfig load_config(const std::string& folder) {
  namespace fs = std::filesystem;
  auto c = parse_config(read_json((fs::path(folder) / "config.json").string()));
  auto generation = (fs::path(folder) / "generation_config.json").string();
  if (c.alignment_heads.empty() && fs::is_regular_file(generation)) {
    auto values = read_json(generation);
    if (values.contains("alignment_heads")) {
      c.alignment_heads = parse_heads(values["alignment_heads"], c);
    }
  }
  if (c.alignment_heads.empty()) {
    c.alignment_heads = published_heads(c);
  }
  return c;
}

} // namespace mlx_audio::whisper
