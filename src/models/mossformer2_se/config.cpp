#include "models/mossformer2_se/config.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "mlx_audio/error.h"

namespace mlx_audio::mossformer2_se {

namespace {

using Json = nlohmann::json;

class Fields {
 public:
  Fields(const Json& json, const std::string& source)
      : json_(json), source_(source) {}

  double number(const char* name, double fallback, double low, double high)
      const {
    auto found = json_.find(name);
    if (found == json_.end() || found->is_null()) {
      return fallback;
    }
    double value = found->is_number() ? found->get<double>() : std::nan("");
    if (!(value >= low && value <= high)) {
      fail(name, *found);
    }
    return value;
  }

  int integer(const char* name, int fallback, int low, int high) const {
    double value = number(name, fallback, low, high);
    if (value != std::floor(value)) {
      fail(name, json_.at(name));
    }
    return static_cast<int>(value);
  }

  std::optional<int> size(const char* name, int high) const {
    return json_.contains(name) && !json_.at(name).is_null()
        ? std::optional<int>(integer(name, 1, 1, high))
        : std::nullopt;
  }

  void expect(const char* name, const std::string& only) const {
    auto found = json_.find(name);
    if (found != json_.end() && *found != only) {
      fail(name, *found);
    }
  }

 private:
  [[noreturn]] void fail(const char* name, const Json& value) const {
    throw Error(
        ErrorKind::corrupt_data,
        std::string("config field '") + name + "' is " +
            value.dump(-1, ' ', true, Json::error_handler_t::replace)
                .substr(0, 80) +
            " in '" + source_ + "'",
        "MossFormer2 SE cannot work with this value");
  }

  const Json& json_;
  const std::string& source_;
};

} // namespace

Config parse_config(const std::string& text, const std::string& source) {
  auto json = Json::parse(text, nullptr, /* allow_exceptions */ false);
  if (!json.is_object()) {
    throw Error(
        ErrorKind::corrupt_data, "'" + source + "' is not a JSON object");
  }
  Fields fields(json, source);
  Config c;
  fields.expect("model_type", "mossformer2_se");
  fields.expect("win_type", "hamming");
  c.sample_rate = fields.integer("sample_rate", c.sample_rate, 8000, 192000);
  c.window = fields.integer("win_len", c.window, 64, 16384);
  c.hop = fields.integer("win_inc", c.hop, 16, c.window);
  // Upstream's transform is as long as its window.
  fields.integer("fft_len", c.window, c.window, c.window);
  c.mels = fields.integer("num_mels", c.mels, 4, 512);
  c.preemphasis = static_cast<float>(
      fields.number("preemphasis", static_cast<double>(c.preemphasis), 0, 1));
  c.whole_seconds =
      fields.number("one_time_decode_length", c.whole_seconds, 0.5, 600);
  c.segment_seconds =
      fields.number("decode_window", c.segment_seconds, 0.5, 600);
  c.chunk_seconds = fields.number("chunk_seconds", c.chunk_seconds, 0.5, 600);
  c.chunk_overlap = fields.number("chunk_overlap", c.chunk_overlap, 0, 0.5);
  c.features = fields.size("in_channels", 4096);
  c.dim = fields.size("out_channels", 8192);
  c.bins = fields.size("out_channels_final", 16384);
  c.blocks = fields.size("num_blocks", 256);
  for (const char* name : {"quantization", "quantization_config"}) {
    auto found = json.find(name);
    if (found == json.end() || !found->is_object()) {
      continue;
    }
    Fields q(*found, source);
    int bits = q.integer("bits", 4, 2, 32);
    // Some conversions write the bits of a float type here.
    if (bits <= 8) {
      c.quantization =
          nn::Quantization{q.integer("group_size", 64, 16, 1024), bits};
    }
  }
  return c;
}

bool matches(const nlohmann::json& config) {
  return checkpoint::is_model_type(config, "mossformer2_se");
}

std::vector<std::string> features(const nlohmann::json& /* config */) {
  return {"mix", "dither"};
}

} // namespace mlx_audio::mossformer2_se
