#include "codecs/vibevoice/config.h"

#include <sstream>

namespace mlx_audio::codecs::vibevoice {

namespace {

constexpr int kMaxChannels = 1 << 16;
constexpr int kMaxHop = 1 << 20;
constexpr int kMaxBlocks = 256;

// "3-3-8", or a list.
std::vector<int> depths_of(const nn::ConfigReader& c) {
  const char* field = "encoder_depths";
  if (!c.has(field) || !c.json()[field].is_string()) {
    return c.integers(field, 0, kMaxBlocks);
  }
  std::vector<int> depths;
  std::istringstream in(c.json()[field].get<std::string>());
  for (std::string part; std::getline(in, part, '-');) {
    if (part.empty() || part.size() > 3 ||
        part.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(part) > kMaxBlocks || depths.size() > 64) {
      c.refuse(field, "numbers of blocks like \"3-3-8\"");
    }
    depths.push_back(std::stoi(part));
  }
  return depths;
}

void expect(
    const nn::ConfigReader& c,
    const char* field,
    const std::string& only) {
  if (c.text(field, only) != only) {
    c.refuse(field, "'" + only + "', the only one there is code for");
  }
}

void expect(const nn::ConfigReader& c, const char* field) {
  if (!c.boolean(field, true)) {
    c.refuse(field, "true, the only one there is code for");
  }
}

} // namespace

int EncoderConfig::hop() const {
  int product = 1;
  for (int stride : strides) {
    product *= stride;
  }
  return product;
}

EncoderConfig parse_encoder_config(const nn::ConfigReader& c) {
  expect(c, "mixer_layer", "depthwise_conv");
  expect(c, "conv_norm", "none");
  expect(c, "pad_mode", "constant");
  expect(c, "layernorm", "RMSNorm");
  expect(c, "causal");
  expect(c, "conv_bias");
  expect(c, "disable_last_norm");
  expect(c, "layernorm_elementwise_affine");
  c.integer("channels", 1, 1, 1);
  EncoderConfig e;
  e.dim = c.integer("vae_dim", 1, kMaxChannels);
  e.filters = c.integer("encoder_n_filters", 1, kMaxChannels);
  e.eps = static_cast<float>(c.number("layernorm_eps", 0, 1, 1e-5));
  // The checkpoint names them from the last one on.
  auto ratios = c.integers("encoder_ratios", 1, 64);
  e.strides.assign(ratios.rbegin(), ratios.rend());
  e.depths = depths_of(c);
  if (e.depths.size() != e.strides.size() + 1) {
    c.refuse("encoder_depths", "one number more than encoder_ratios has");
  }
  int64_t hop = 1;
  int64_t channels = e.filters;
  for (int stride : e.strides) {
    hop *= stride;
    channels *= 2;
    if (hop > kMaxHop) {
      c.refuse("encoder_ratios", "of a product up to 1048576");
    }
    if (channels > kMaxChannels) {
      c.refuse("encoder_n_filters", "small enough for 65536 channels at most");
    }
  }
  return e;
}

} // namespace mlx_audio::codecs::vibevoice
