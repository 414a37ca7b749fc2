#include "codecs/mimi/config.h"

#include <algorithm>

namespace mlx_audio::codecs::mimi {

namespace {

constexpr int kMaxWidth = 1 << 14;

} // namespace

int Config::frame_samples() const {
  int samples = 2;
  for (int ratio : ratios) {
    samples = std::min(samples * ratio, 1 << 20); // they are foreign bytes
  }
  return samples;
}

Config parse_config(const nn::ConfigReader& c, int used_quantizers) {
  Config e;
  e.filters = c.integer("num_filters", 1, kMaxWidth);
  e.hidden = c.integer("hidden_size", 1, kMaxWidth);
  e.kernel = c.integer("kernel_size", 1, 63, 7);
  e.last_kernel = c.integer("last_kernel_size", 1, 63, 3);
  e.residual_kernel = c.integer("residual_kernel_size", 1, 63, 3);
  e.residual_layers = c.integer("num_residual_layers", 1, 8, 1);
  e.dilation_growth = c.integer("dilation_growth_rate", 1, 8, 2);
  e.compress = c.integer("compress", 1, 64, 2);
  e.ratios = c.integers("upsampling_ratios", 1, 64);
  e.layers = c.integer("num_hidden_layers", 1, 128);
  e.heads = c.integer("num_attention_heads", 1, 256);
  e.intermediate = c.integer("intermediate_size", 1, 4 * kMaxWidth);
  e.rope_theta = static_cast<float>(c.number("rope_theta", 1, 1e12, 1e4));
  e.norm_eps = static_cast<float>(c.number("norm_eps", 0, 1, 1e-5));
  e.window = c.integer("sliding_window", 2, 1 << 20, 250);
  e.codebook = c.integer("codebook_size", 1, 1 << 20);
  e.codebook_dim = c.integer("codebook_dim", 1, kMaxWidth);
  e.quantizers = c.integer("num_quantizers", 2, 256);
  e.used_quantizers = used_quantizers;
  // The code knows causal convolutions padded with zeros, no shortcuts.
  if (!c.boolean("use_causal_conv", true)) {
    c.refuse("use_causal_conv", "true");
  }
  if (c.boolean("use_conv_shortcut", false)) {
    c.refuse("use_conv_shortcut", "false");
  }
  if (c.text("pad_mode", "constant") != "constant") {
    c.refuse("pad_mode", "\"constant\"");
  }
  if (e.ratios.size() > 12) {
    c.refuse("upsampling_ratios", "a list of up to 12");
  }
  if (e.hidden % e.heads != 0 || e.hidden / e.heads % 2 != 0) {
    c.refuse("num_attention_heads", "one that gives heads of even width");
  }
  if (e.filters < e.compress) {
    c.refuse("compress", "at most num_filters");
  }
  if (e.quantizers < used_quantizers) {
    c.refuse(
        "num_quantizers",
        "at least the " + std::to_string(used_quantizers) + " that are used");
  }
  return e;
}

} // namespace mlx_audio::codecs::mimi
