#include "codecs/mimi/encoder.h"

#include "codecs/codebook.h"
#include "kernels/elu.h"

namespace mlx_audio::codecs::mimi {

namespace {

using kernels::elu;

mx::array take_projection(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out) {
  auto shape = layout == nn::ConvLayout::mlx ? mx::Shape{out, 1, in}
                                             : mx::Shape{out, in, 1};
  auto weight = weights.take(path + ".weight", shape);
  return mx::astype(mx::reshape(weight, {out, in}), mx::float32);
}

// Index of the last convolution in the list of layers, activations included.
int last_index(const Config& c) {
  return 2 + c.stages() * (c.residual_layers + 2);
}

} // namespace

PaddedConv1d::PaddedConv1d(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    int in,
    int out,
    int kernel,
    int stride /* = 1 */,
    int dilation /* = 1 */,
    bool repeat_edges /* = false */)
    : conv_(
          weights,
          path,
          layout,
          in,
          out,
          kernel,
          {.stride = stride, .dilation = dilation}),
      reach_((kernel - 1) * dilation + 1 - stride),
      stride_(stride),
      repeat_edges_(repeat_edges) {}

mx::array PaddedConv1d::operator()(const mx::array& x) const {
  int time = x.shape(1);
  int right = (stride_ - time % stride_) % stride_;
  if (!repeat_edges_) {
    return conv_(mx::pad(x, {{0, 0}, {reach_, right}, {0, 0}}));
  }
  auto edge = [&](int at, int count) {
    auto one = mx::slice(x, {0, at, 0}, {x.shape(0), at + 1, x.shape(2)});
    return mx::repeat(one, count, 1);
  };
  std::vector<mx::array> parts{edge(0, reach_), x};
  if (right > 0) {
    parts.push_back(edge(time - 1, right));
  }
  return conv_(mx::concatenate(parts, 1));
}

Encoder::Encoder(
    nn::Weights& weights,
    const std::string& path,
    nn::ConvLayout layout,
    const Config& c)
    : first_(
          weights,
          path + ".encoder.layers.0.conv",
          layout,
          1,
          c.filters,
          c.kernel),
      last_(
          weights,
          path + ".encoder.layers." + std::to_string(last_index(c)) + ".conv",
          layout,
          c.filters << c.stages(),
          c.hidden,
          c.last_kernel),
      transformer_(weights, path + ".encoder_transformer", c),
      downsample_(
          weights,
          path + ".downsample.conv",
          layout,
          c.hidden,
          c.hidden,
          4,
          2,
          1,
          /* repeat_edges */ true),
      semantic_projection_(take_projection(
          weights,
          path + ".quantizer.semantic_residual_vector_quantizer.input_proj",
          layout,
          c.hidden,
          c.codebook_dim)),
      acoustic_projection_(take_projection(
          weights,
          path + ".quantizer.acoustic_residual_vector_quantizer.input_proj",
          layout,
          c.hidden,
          c.codebook_dim)) {
  int channels = c.filters;
  int index = 1;
  for (int s = c.stages() - 1; s >= 0; --s) {
    std::vector<std::pair<PaddedConv1d, PaddedConv1d>> residuals;
    int dilation = 1;
    for (int j = 0; j < c.residual_layers; ++j, dilation *= c.dilation_growth) {
      std::string block =
          path + ".encoder.layers." + std::to_string(index++) + ".block.";
      int inner = channels / c.compress;
      residuals.emplace_back(
          PaddedConv1d(
              weights,
              block + "1.conv",
              layout,
              channels,
              inner,
              c.residual_kernel,
              1,
              dilation),
          PaddedConv1d(weights, block + "3.conv", layout, inner, channels, 1));
    }
    ++index; // an activation
    stages_.push_back(
        {std::move(residuals),
         PaddedConv1d(
             weights,
             path + ".encoder.layers." + std::to_string(index++) + ".conv",
             layout,
             channels,
             2 * channels,
             2 * c.ratios[s],
             c.ratios[s])});
    channels *= 2;
  }
  for (int i = 0; i < c.quantizers; ++i) {
    std::string at = path +
        (i == 0 ? ".quantizer.semantic_residual_vector_quantizer"
                : ".quantizer.acoustic_residual_vector_quantizer") +
        ".layers." + std::to_string(i == 0 ? 0 : i - 1) + ".codebook";
    weights.ignore(at + ".initialized");
    auto book =
        take_codebook(weights, at, "embed_sum", c.codebook, c.codebook_dim);
    if (i < c.used_quantizers) {
      codebooks_.push_back(book);
    }
  }
  for (const char* part : {"semantic", "acoustic"}) { // for decoding
    weights.ignore(
        path + ".quantizer." + part +
        "_residual_vector_quantizer.output_proj.weight");
  }
}

mx::array Encoder::quantize(const mx::array& x) const {
  std::vector<mx::array> codes;
  mx::array residual(0.0f);
  for (size_t i = 0; i < codebooks_.size(); ++i) {
    if (i <= 1) { // both quantizers start from the same vectors
      const auto& p = i == 0 ? semantic_projection_ : acoustic_projection_;
      residual = mx::matmul(x, mx::transpose(p));
    }
    // |x - e|^2 less |x|^2, halved.
    const auto& book = codebooks_[i];
    auto half_norm = mx::sum(mx::square(book), 1) * mx::array(0.5f);
    auto distance = half_norm - mx::matmul(residual, mx::transpose(book));
    auto code = mx::astype(mx::argmin(distance, -1), mx::int32);
    codes.push_back(code);
    residual = residual - mx::take(book, code, 0);
  }
  return mx::stack(codes, 1);
}

mx::array Encoder::operator()(
    const mx::array& samples,
    Taps* taps /* = nullptr */) const {
  auto tap = [&](const char* name, const mx::array& value) {
    if (taps != nullptr) {
      taps->insert_or_assign(
          name, mx::reshape(value, {value.shape(1), value.shape(2)}));
    }
  };
  auto x = first_(mx::reshape(mx::astype(samples, mx::float32), {1, -1, 1}));
  for (const Stage& stage : stages_) {
    for (const auto& [wide, narrow] : stage.residuals) {
      x = x + narrow(elu(wide(elu(x))));
    }
    x = stage.down(elu(x));
  }
  x = last_(elu(x));
  tap("seanet", x);
  auto cache = transformer_.make_cache();
  x = transformer_(x, cache);
  tap("transformer", x);
  x = downsample_(x);
  tap("downsample", x);
  return quantize(mx::reshape(x, {x.shape(1), x.shape(2)}));
}

} // namespace mlx_audio::codecs::mimi
