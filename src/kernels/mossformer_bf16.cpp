#include "kernels/mossformer_bf16.h"

#include "kernels/cpu_op.h"
#include "kernels/paired_layers_cpu.h"

namespace mlx_audio::kernels {

namespace {

bool whole(int64_t n) {
  return n > 0 && n % kPairedColumns == 0;
}

bool takes(const PairedFeedForwardConv& f) {
  return whole(f.linear.in()) && whole(f.linear.out());
}

double size(const PairedWeight& w) {
  return static_cast<double>(w.in()) * static_cast<double>(w.out());
}

void check(const mx::array& x, int64_t channels, const char* op) {
  if (x.ndim() != 2 || x.shape(1) != channels || x.shape(0) == 0) {
    throw std::invalid_argument(
        std::string("[") + op + "] x must be [time, " +
        std::to_string(channels) + "].");
  }
}

} // namespace

bool paired_attention_takes(const PairedAttention& a) {
  return takes(a.to_hidden) && takes(a.to_out) && whole(a.gamma.shape(1)) &&
      whole(a.options.value_dim) && a.options.group % 64 == 0;
}

mx::array paired_attention(
    const mx::array& x,
    const mx::array& rotary,
    const std::shared_ptr<const PairedAttention>& layer) {
  check(x, layer->to_hidden.linear.in(), "paired_attention");
  double t = x.shape(0);
  double e = layer->options.value_dim;
  double dim = layer->gamma.shape(1);
  double group = std::min<double>(layer->options.group, t);
  double flops = 2 * t *
      (size(layer->to_hidden.linear) + size(layer->to_out.linear) +
       2 * e * (group + 2 * dim) + group * dim);
  return cpu_op(
      "paired_attention",
      {x, rotary},
      x.shape(),
      mx::float32,
      [layer](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        paired_attention_cpu(
            *layer,
            in[0].data<float>(),
            in[1].data<float>(),
            in[1].shape(1) / 2,
            in[0].shape(0),
            out[0].data<float>());
      },
      {flops, 8 * static_cast<double>(x.size())});
}

bool paired_fsmn_takes(const PairedFsmn& f) {
  return takes(f.to_uv) && whole(f.conv1.in()) && whole(f.conv1.out()) &&
      whole(f.conv2.in()) && whole(f.conv2.out());
}

mx::array paired_fsmn(
    const mx::array& x,
    const std::shared_ptr<const PairedFsmn>& layer) {
  check(x, layer->conv1.in(), "paired_fsmn");
  double flops = 2.0 * x.shape(0) *
      (size(layer->conv1) + size(layer->to_uv.linear) + size(layer->linear) +
       size(layer->project) + size(layer->conv2));
  return cpu_op(
      "paired_fsmn",
      {x},
      x.shape(),
      mx::float32,
      [layer](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        paired_fsmn_cpu(
            *layer, in[0].data<float>(), in[0].shape(0), out[0].data<float>());
      },
      {flops, 8 * static_cast<double>(x.size())});
}

} // namespace mlx_audio::kernels
