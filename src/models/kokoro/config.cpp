#include "models/kokoro/config.h"

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"

namespace mlx_audio::kokoro {

namespace {

using Json = nlohmann::json;

// An integer field within [low, high]; a missing one keeps its default.
void read(const Json& json, const char* name, int& value, int low, int high) {
  if (!json.contains(name)) {
    return;
  }
  const Json& field = json.at(name);
  if (!field.is_number_integer() || field.get<int64_t>() < low ||
      field.get<int64_t>() > high) {
    throw Error(
        ErrorKind::corrupt_data,
        std::string("config.json: '") + name + "' is " + field.dump() +
            ", not an integer of " + std::to_string(low) + ".." +
            std::to_string(high));
  }
  value = field.get<int>();
}

std::vector<int> read_list(const Json& json, const char* name, int high) {
  std::vector<int> list;
  for (const Json& item : json.at(name)) {
    if (!item.is_number_integer() || item.get<int64_t>() < 1 ||
        item.get<int64_t>() > high || list.size() >= 16) {
      throw Error(
          ErrorKind::corrupt_data,
          std::string("config.json: '") + name + "' holds " + item.dump());
    }
    list.push_back(item.get<int>());
  }
  return list;
}

Config parse(const Json& json) {
  Config config;
  read(json, "hidden_dim", config.hidden_dim, 16, 8192);
  read(json, "style_dim", config.style_dim, 1, 4096);
  read(json, "n_token", config.n_token, 2, 65536);
  read(json, "n_layer", config.n_layer, 1, 64);
  read(json, "max_dur", config.max_dur, 1, 4096);
  read(
      json, "text_encoder_kernel_size", config.text_encoder_kernel_size, 1, 63);
  read(json, "sample_rate", config.sample_rate, 8000, 192000);

  const Json& bert = json.at("plbert");
  auto& b = config.plbert;
  read(bert, "hidden_size", b.hidden_size, 8, 8192);
  read(bert, "embedding_size", b.embedding_size, 8, 8192);
  read(bert, "num_attention_heads", b.num_attention_heads, 1, 128);
  read(bert, "intermediate_size", b.intermediate_size, 8, 65536);
  read(bert, "max_position_embeddings", b.max_position_embeddings, 3, 65536);
  read(bert, "num_hidden_layers", b.num_hidden_layers, 1, 128);

  const Json& net = json.at("istftnet");
  auto& n = config.istftnet;
  n.upsample_rates = read_list(net, "upsample_rates", 64);
  n.upsample_kernel_sizes = read_list(net, "upsample_kernel_sizes", 256);
  n.resblock_kernel_sizes = read_list(net, "resblock_kernel_sizes", 63);
  for (const Json& dilations : net.at("resblock_dilation_sizes")) {
    n.resblock_dilation_sizes.push_back(
        read_list(Json{{"dilations", dilations}}, "dilations", 64));
  }
  read(net, "upsample_initial_channel", n.upsample_initial_channel, 4, 8192);
  read(net, "gen_istft_n_fft", n.n_fft, 4, 4096);
  read(net, "gen_istft_hop_size", n.hop, 1, 1024);
  if (n.upsample_rates.size() != n.upsample_kernel_sizes.size() ||
      n.resblock_kernel_sizes.size() != n.resblock_dilation_sizes.size() ||
      n.n_fft % n.hop != 0) {
    throw Error(
        ErrorKind::corrupt_data,
        "config.json: the lists of 'istftnet' do not fit each other");
  }

  for (const auto& [phoneme, id] : json.at("vocab").items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() >= config.n_token) {
      throw Error(
          ErrorKind::corrupt_data,
          "config.json: vocab entry '" + phoneme + "' is " + id.dump());
    }
    config.vocab[phoneme] = id.get<int>();
  }
  return config;
}

} // namespace

int Config::samples_per_frame() const {
  int samples = 2 * istftnet.hop; // F0 has two values a duration frame
  for (int rate : istftnet.upsample_rates) {
    samples *= rate;
  }
  return samples;
}

Config load_config(const std::string& folder) {
  auto path = std::filesystem::path(folder) / "config.json";
  std::ifstream file(path);
  if (!file) {
    throw Error(ErrorKind::not_found, "no config.json in '" + folder + "'");
  }
  try {
    return parse(Json::parse(file));
  } catch (const Json::exception& error) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path.string() + "' is no Kokoro config: " + error.what());
  }
}

} // namespace mlx_audio::kokoro
