#include "models/kokoro/config.h"

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "mlx_audio/error.h"
#include "nn/config_reader.h"

namespace mlx_audio::kokoro {

namespace {

using Json = nlohmann::json;
using nn::ConfigReader;

constexpr size_t max_list = 16; // stages, kernels, dilations

// A field that keeps its default where config.json lacks it.
void read(
    const ConfigReader& json,
    const char* name,
    int& value,
    int low,
    int high) {
  value = json.integer(name, low, high, value);
}

std::vector<int>
read_list(const ConfigReader& json, const char* name, int high) {
  auto list = json.integers(name, 1, high);
  if (list.size() > max_list) {
    json.refuse(name, "a list of 1 to 16 integers");
  }
  return list;
}

Config parse(const ConfigReader& json) {
  Config config;
  read(json, "hidden_dim", config.hidden_dim, 16, 8192);
  read(json, "style_dim", config.style_dim, 1, 4096);
  read(json, "n_token", config.n_token, 2, 65536);
  read(json, "n_layer", config.n_layer, 1, 64);
  read(json, "max_dur", config.max_dur, 1, 4096);
  read(
      json, "text_encoder_kernel_size", config.text_encoder_kernel_size, 1, 63);
  read(json, "sample_rate", config.sample_rate, 8000, 192000);

  ConfigReader bert = json.object("plbert");
  auto& b = config.plbert;
  read(bert, "hidden_size", b.hidden_size, 8, 8192);
  read(bert, "embedding_size", b.embedding_size, 8, 8192);
  read(bert, "num_attention_heads", b.num_attention_heads, 1, 128);
  read(bert, "intermediate_size", b.intermediate_size, 8, 65536);
  read(bert, "max_position_embeddings", b.max_position_embeddings, 3, 65536);
  read(bert, "num_hidden_layers", b.num_hidden_layers, 1, 128);

  ConfigReader net = json.object("istftnet");
  auto& n = config.istftnet;
  n.upsample_rates = read_list(net, "upsample_rates", 64);
  n.upsample_kernel_sizes = read_list(net, "upsample_kernel_sizes", 256);
  n.resblock_kernel_sizes = read_list(net, "resblock_kernel_sizes", 63);
  for (const Json& dilations : net.json().at("resblock_dilation_sizes")) {
    n.resblock_dilation_sizes.push_back(read_list(
        ConfigReader(Json{{"dilations", dilations}}, net.name()),
        "dilations",
        64));
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

  ConfigReader vocab = json.object("vocab");
  for (const auto& [phoneme, id] : vocab.json().items()) {
    config.vocab[phoneme] =
        vocab.integer(phoneme.c_str(), 0, config.n_token - 1);
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
    return parse(ConfigReader(Json::parse(file), "config.json"));
  } catch (const Json::exception& error) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + path.string() + "' is no Kokoro config: " + error.what());
  }
}

} // namespace mlx_audio::kokoro
