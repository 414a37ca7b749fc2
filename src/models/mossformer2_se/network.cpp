#include "models/mossformer2_se/network.h"

#include <cmath>

#include "kernels/depthwise_conv1d.h"
#include "kernels/pointwise.h"
#include "mlx_audio/error.h"
#include "models/mossformer2_se/weights.h"

namespace mlx_audio::mossformer2_se {

namespace {

constexpr float kFinalNormEps = 1e-6f;
constexpr float kGlobalNormEps = 1e-8f;

mx::array rows(const mx::array& x, int begin, int end) {
  auto start = mx::Shape(x.ndim(), 0);
  auto stop = x.shape();
  start[0] = begin;
  stop[0] = end;
  return mx::slice(x, start, stop);
}

// Takes tensors in f32 and makes layers of them. Norm gains and biases that
// stand before a linear layer are folded into it.
class Builder {
 public:
  Builder(nn::Weights& weights, const Config& config, mx::Dtype dtype)
      : weights_(weights), config_(config), dtype_(dtype) {}

  mx::array vector(const std::string& name, int size) {
    return mx::astype(weights_.take(name, {size}), mx::float32);
  }

  mx::array matrix(const std::string& path, int out, int in) {
    return take_matrix(weights_, path, out, in, config_.quantization);
  }

  nn::Linear linear(
      const mx::array& weight,
      const std::optional<mx::array>& bias) {
    kernels::LinearWeight w{.weight = mx::astype(weight, dtype_)};
    if (bias) {
      w.bias = *bias;
      mx::eval(*w.bias);
    }
    mx::eval(w.weight);
    return nn::Linear(std::move(w));
  }

  /// [kernel, channels] of a depthwise convolution's [channels, kernel, 1...].
  mx::array depthwise(const std::string& path, int channels) {
    auto name = path + ".weight";
    auto found = weights_.tensors().find(name);
    bool flat = found == weights_.tensors().end() || found->second.ndim() == 3;
    auto w = weights_.take(
        name,
        flat ? mx::Shape{channels, -1, 1} : mx::Shape{channels, -1, 1, 1});
    if (w.shape(1) % 2 == 0) {
      throw Error(
          ErrorKind::corrupt_data,
          "tensor '" + name + "' has an even kernel of " +
              std::to_string(w.shape(1)) + " in '" + weights_.source() + "'");
    }
    w = mx::reshape(w, {channels, w.shape(1)});
    return evaluated(mx::contiguous(mx::transpose(f32(w))));
  }

  /// x -> linear(gain x + shift) of the FFConvM at `path`.
  mx::array scaled(const std::string& path, int out, int in) {
    auto gain = vector(path + ".norm.g", 1);
    return matrix(path + ".linear", out, in) * gain;
  }

  FeedForwardConv layer_normed(const std::string& path, int out, int in) {
    auto w = matrix(path + ".linear", out, in);
    auto shift = mx::sum(w * vector(path + ".norm.bias", in), 1);
    return {
        linear(
            w * vector(path + ".norm.weight", in),
            vector(path + ".linear.bias", out) + shift),
        depthwise(path + ".conv_module", out)};
  }

  AttentionLayer attention(const std::string& path, int dim) {
    int hidden = size(path + ".to_hidden.linear.bias");
    int qk = size(path + ".to_qk.linear.bias");
    if (hidden % 2 != 0) {
      throw Error(
          ErrorKind::corrupt_data,
          "layer '" + path + ".to_hidden' has an odd size in '" +
              weights_.source() + "'");
    }
    auto join = [](const mx::array& a, const mx::array& b, int axis) {
      return mx::concatenate({a, b}, axis);
    };
    return {
        .to_hidden =
            {linear(
                 join(
                     scaled(path + ".to_hidden", hidden, dim),
                     scaled(path + ".to_qk", qk, dim),
                     0),
                 join(
                     vector(path + ".to_hidden.linear.bias", hidden),
                     vector(path + ".to_qk.linear.bias", qk),
                     0)),
             evaluated(join(
                 depthwise(path + ".to_hidden.conv_module", hidden),
                 depthwise(path + ".to_qk.conv_module", qk),
                 1))},
        .to_out =
            {linear(
                 scaled(path + ".to_out", dim, hidden / 2),
                 vector(path + ".to_out.linear.bias", dim)),
             depthwise(path + ".to_out.conv_module", dim)},
        .gamma = table(path + ".qk_offset_scale.gamma", qk),
        .beta = table(path + ".qk_offset_scale.beta", qk),
        .options = {.value_dim = hidden / 2, .eps = kNormEps}};
  }

  FsmnLayer fsmn(const std::string& path, int dim) {
    int inner = size(path + ".conv1.bias");
    auto gated = path + ".gated_fsmn";
    auto memory = gated + ".fsmn";
    auto out = matrix(path + ".conv2", dim, inner);
    auto shift = mx::sum(out * vector(path + ".norm2.bias", inner), 1);
    return {
        .conv1 = linear(
            matrix(path + ".conv1", inner, dim),
            vector(path + ".conv1.bias", inner)),
        .slope = vector(path + ".prelu.weight", 1),
        .norm_weight = vector(path + ".norm1.weight", inner),
        .norm_bias = vector(path + ".norm1.bias", inner),
        .to_u = layer_normed(gated + ".to_u", inner, inner),
        .to_v = layer_normed(gated + ".to_v", inner, inner),
        .linear = linear(
            matrix(memory + ".linear", inner, inner),
            vector(memory + ".linear.bias", inner)),
        .project =
            linear(matrix(memory + ".project", inner, inner), std::nullopt),
        .memory = depthwise(memory + ".conv1", inner),
        .conv2 = linear(
            out * vector(path + ".norm2.weight", inner),
            vector(path + ".conv2.bias", dim) + shift)};
  }

  /// The length of a vector that must be there and hold something.
  int size(const std::string& name) {
    return not_zero(name, weights_.take(name, {-1}).shape(0));
  }

  /// Rows of a tensor of any rank that must be there and hold something.
  int rows_of(const std::string& name) {
    auto found = weights_.tensors().find(name);
    bool there = found != weights_.tensors().end() && found->second.ndim() > 0;
    return not_zero(
        name,
        there ? found->second.shape(0) : weights_.take(name, {-1}).shape(0));
  }

 private:
  static mx::array f32(const mx::array& x) {
    return mx::astype(x, mx::float32);
  }
  static mx::array evaluated(mx::array x) {
    mx::eval(x);
    return x;
  }
  int not_zero(const std::string& name, int size) {
    if (size == 0) {
      throw Error(
          ErrorKind::corrupt_data,
          "tensor '" + name + "' is empty in '" + weights_.source() + "'");
    }
    return size;
  }
  mx::array table(const std::string& name, int dim) {
    return evaluated(f32(weights_.take(name, {4, dim})));
  }

  nn::Weights& weights_;
  const Config& config_;
  mx::Dtype dtype_;
};

int agreed(
    const std::optional<int>& configured,
    int actual,
    const char* field,
    const std::string& source) {
  if (configured && *configured != actual) {
    throw Error(
        ErrorKind::corrupt_data,
        std::string("config field '") + field + "' is " +
            std::to_string(*configured) + " but the weights in '" + source +
            "' have " + std::to_string(actual),
        "is config.json the one of these weights?");
  }
  return actual;
}

std::vector<float> to_vector(const mx::array& x) {
  auto y = mx::contiguous(mx::astype(x, mx::float32));
  mx::eval(y);
  return {y.data<float>(), y.data<float>() + y.size()};
}

// 10000^(-2 i / dim) in f32, as torch computes it.
std::vector<float> inverse_frequencies(int dim) {
  std::vector<float> f(static_cast<size_t>(dim / 2));
  for (size_t i = 0; i < f.size(); ++i) {
    float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    f[i] = 1.0f / std::pow(10000.0f, exponent);
  }
  return f;
}

int count_blocks(const nn::Weights& weights) {
  int blocks = 0;
  while (weights.has(
      "mdl.intra_mdl.mossformerM.layers." + std::to_string(blocks) +
      ".to_qk.linear.bias")) {
    ++blocks;
  }
  return blocks;
}

} // namespace

mx::array FeedForwardConv::operator()(
    const mx::array& x,
    const std::optional<mx::array>& residual /* = std::nullopt */) const {
  return kernels::depthwise_residual_conv1d(
      linear(x, nn::Activation::silu), conv, residual);
}

mx::array AttentionLayer::operator()(
    const mx::array& x,
    const mx::array& rotary) const {
  auto hidden = to_hidden(kernels::shift_scale_norm(x, options.eps));
  auto gated = kernels::gated_attention(hidden, gamma, beta, rotary, options);
  return to_out(gated, x);
}

mx::array FsmnLayer::operator()(const mx::array& x) const {
  auto [normed, again] = kernels::prelu_layer_norm(
      conv1(x), slope, norm_weight, norm_bias, kNormEps);
  auto u = to_u(again);
  auto v = to_v(again);
  auto projected = project(linear(u, nn::Activation::relu));
  return x +
      conv2(kernels::fsmn_gate(projected, memory, u, v, normed, kNormEps));
}

MaskNet::MaskNet(nn::Weights& weights, const Config& config, mx::Dtype dtype)
    : features_(0),
      dim_(0),
      bins_(0),
      norm_weight_(0.0f),
      norm_bias_(0.0f),
      encoder_(nn::Linear(kernels::LinearWeight{.weight = mx::array(0.0f)})),
      position_scale_(1),
      final_weight_(0.0f),
      final_bias_(0.0f),
      group_weight_(0.0f),
      group_bias_(0.0f),
      slope_(0.0f),
      output_(encoder_),
      decoder_(encoder_),
      positions_(mx::zeros({0, 0})),
      rotary_(mx::zeros({0, 0})) {
  canonicalize(weights);
  const auto& source = weights.source();
  Builder build(weights, config, dtype);
  dim_ = agreed(
      config.dim,
      build.rows_of("conv1d_encoder.weight"),
      "out_channels",
      source);
  features_ = agreed(
      config.features, build.rows_of("norm.weight"), "in_channels", source);
  bins_ = agreed(
      config.bins,
      build.rows_of("conv1_decoder.weight"),
      "out_channels_final",
      source);
  int blocks =
      agreed(config.blocks, count_blocks(weights), "num_blocks", source);
  if (features_ != 3 * config.mels || bins_ != config.window / 2 + 1 ||
      dim_ % 2 != 0) {
    throw Error(
        ErrorKind::corrupt_data,
        "the weights in '" + source + "' take " + std::to_string(features_) +
            " features and give " + std::to_string(bins_) +
            " bins, config.json says " + std::to_string(3 * config.mels) +
            " and " + std::to_string(config.window / 2 + 1),
        "is config.json the one of these weights?");
  }

  auto input_norm = [&](const char* name) {
    bool flat = weights.tensors().at("norm.weight").ndim() == 1;
    auto w = weights.take(
        name, flat ? mx::Shape{features_} : mx::Shape{features_, 1});
    return mx::reshape(mx::astype(w, mx::float32), {features_});
  };
  norm_weight_ = input_norm("norm.weight");
  norm_bias_ = input_norm("norm.bias");
  encoder_ = nn::RoundedLinear(
      build.linear(build.matrix("conv1d_encoder", dim_, features_), {}));
  // The stored frequencies are these, rounded to the checkpoint's type.
  frequencies_ = inverse_frequencies(dim_);
  weights.take_optional("pos_enc.inv_freq", {dim_ / 2});
  position_scale_ = build.vector("pos_enc.scale", 1).item<float>();

  const std::string stack = "mdl.intra_mdl.mossformerM.";
  for (int i = 0; i < blocks; ++i) {
    auto layer = stack + "layers." + std::to_string(i);
    auto attention = build.attention(layer, dim_);
    int pairs = std::min(32, attention.gamma.shape(1)) / 2;
    blocks_.emplace_back(
        std::move(attention),
        build.fsmn(stack + "fsmn." + std::to_string(i), dim_));
    auto stored =
        weights.take_optional(layer + ".rotary_pos_emb.freqs", {pairs});
    if (i == 0) {
      rotary_frequencies_ =
          stored ? to_vector(*stored) : inverse_frequencies(2 * pairs);
    }
  }
  final_weight_ = build.vector("mdl.intra_mdl.norm.weight", dim_);
  final_bias_ = build.vector("mdl.intra_mdl.norm.bias", dim_);
  group_weight_ = build.vector("mdl.intra_norm.weight", dim_);
  group_bias_ = build.vector("mdl.intra_norm.bias", dim_);
  slope_ = build.vector("prelu.weight", 1);

  // conv1d_out has two speakers and no function behind it: its first half goes
  // into the two layers that follow, the second is not needed.
  auto expand = rows(build.matrix("conv1d_out", 2 * dim_, dim_), 0, dim_);
  auto expand_bias = rows(build.vector("conv1d_out.bias", 2 * dim_), 0, dim_);
  auto both = mx::concatenate(
      {build.matrix("output", dim_, dim_),
       build.matrix("output_gate", dim_, dim_)},
      0);
  auto both_bias = mx::concatenate(
      {build.vector("output.bias", dim_),
       build.vector("output_gate.bias", dim_)},
      0);
  output_ = nn::RoundedLinear(build.linear(
      mx::matmul(both, expand), both_bias + mx::sum(both * expand_bias, 1)));
  decoder_ = nn::RoundedLinear(
      build.linear(build.matrix("conv1_decoder", bins_, dim_), {}));
  weights.expect_all_taken();
  mx::eval(
      norm_weight_,
      norm_bias_,
      final_weight_,
      final_bias_,
      group_weight_,
      group_bias_,
      slope_);
}

void MaskNet::prepare_tables(int frames) const {
  if (positions_.shape(0) == frames) {
    return;
  }
  // Angles are rounded to f32 before the sine, as upstream's are.
  auto table = [frames](
                   const std::vector<float>& frequencies, bool sine_first) {
    size_t n = frequencies.size();
    std::vector<float> values(static_cast<size_t>(frames) * 2 * n);
#pragma omp parallel for schedule(static)
    for (int t = 0; t < frames; ++t) {
      float* row = values.data() + static_cast<size_t>(t) * 2 * n;
      for (size_t i = 0; i < n; ++i) {
        row[i] = row[n + i] = static_cast<float>(t) * frequencies[i];
      }
      using kernels::Pointwise;
      auto count = static_cast<int64_t>(n);
      auto first = sine_first ? Pointwise::sin : Pointwise::cos;
      auto second = sine_first ? Pointwise::cos : Pointwise::sin;
      kernels::pointwise(first, row, row, count);
      kernels::pointwise(second, row + n, row + n, count);
    }
    return mx::array(
        values.begin(), {frames, static_cast<int>(2 * n)}, mx::float32);
  };
  positions_ = table(frequencies_, true) * mx::array(position_scale_);
  rotary_ = table(rotary_frequencies_, false);
  mx::eval(positions_, rotary_);
}

mx::array MaskNet::operator()(const mx::array& features, Taps* taps) const {
  auto tap = [&](const std::string& name, const mx::array& x) {
    if (taps != nullptr) {
      taps->insert_or_assign(name, x);
    }
  };
  prepare_tables(features.shape(0));
  auto x = encoder_(
      kernels::global_norm(
          features, {norm_weight_, norm_bias_, kGlobalNormEps}));
  tap("encoder", x);
  x = x + positions_;
  auto skip = x;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    x = blocks_[i].attend(x, rotary_);
    tap("layer" + std::to_string(i), x);
    x = blocks_[i].remember(x);
    tap("block" + std::to_string(i), x);
  }
  x = kernels::layer_norm(x, final_weight_, final_bias_, kFinalNormEps);
  x = kernels::global_norm(
      x, {group_weight_, group_bias_, kGlobalNormEps, skip, slope_});
  auto mask = decoder_(kernels::tanh_gate(output_(x)), nn::Activation::relu);
  tap("mask", mask);
  return mask;
}

} // namespace mlx_audio::mossformer2_se
