#include "kernels/conv1d_cpu.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/conv1d_pack.h"
#include "kernels/cpu_op.h"
#include "kernels/instance_norm_cpu.h"

namespace mlx_audio::kernels {

namespace {

struct Shape {
  int time; // of x, and of the past before it
  int past;
  int in;
  int kernel;
  int out;
  int time_out;
};

Shape shape_of(
    const mx::array& x,
    int past,
    const mx::array& weight,
    const Conv1dOptions& o) {
  Shape s{x.shape(1), past, x.shape(2), weight.shape(1), weight.shape(0), 0};
  s.time_out = (s.past + s.time + o.pad_left + o.pad_right -
                o.dilation * (s.kernel - 1) - 1) /
          o.stride +
      1;
  return s;
}

mx::array as_f32(const mx::array& a) {
  return mx::contiguous(mx::astype(a, mx::float32));
}

// Rows [time_out, out] filled with residual (or zeros) plus bias.
void fill(
    float* y,
    const float* residual,
    const std::vector<float>& bias,
    int rows) {
  size_t out = bias.size();
#pragma omp parallel for
  for (int t = 0; t < rows; ++t) {
    float* row = y + t * out;
    if (residual != nullptr) {
      const float* r = residual + t * out;
      for (size_t c = 0; c < out; ++c) {
        row[c] = r[c] + bias[c];
      }
    } else {
      std::copy(bias.begin(), bias.end(), row);
    }
  }
}

// x [time, in] with zeros around, or x itself if there is nothing to add.
const float* padded(
    const float* x,
    const Shape& s,
    const Conv1dOptions& o,
    std::vector<float>& buffer) {
  if (o.pad_left == 0 && o.pad_right == 0) {
    return x;
  }
  size_t in = s.in;
  buffer.assign((s.time + o.pad_left + o.pad_right) * in, 0.0f);
  std::memcpy(buffer.data() + o.pad_left * in, x, s.time * in * sizeof(float));
  return buffer.data();
}

void depthwise_conv(
    const float* x,
    const float* weight, // [kernel, channels]
    float* y,
    const Shape& s,
    const Conv1dOptions& o) {
  size_t channels = s.in;
#pragma omp parallel for
  for (int t = 0; t < s.time_out; ++t) {
    float* row = y + t * channels;
    for (int j = 0; j < s.kernel; ++j) {
      const float* in =
          x + (static_cast<size_t>(t) * o.stride + j * o.dilation) * channels;
      const float* w = weight + j * channels;
#pragma omp simd
      for (size_t c = 0; c < channels; ++c) {
        row[c] += in[c] * w[c];
      }
    }
  }
}

// The arguments of what happens on the way in, as they lie behind x and the
// residual.
struct MapArguments {
  int first; // gamma, beta, perhaps alpha; or alpha, amplitude
  bool norm;
  bool snake;
  float eps = 0;
  float slope = 1;
};

ChannelMap make_map(
    const MapArguments& map,
    const std::vector<mx::array>& in,
    int batch,
    const float* x,
    const Shape& s) {
  auto values = [&](int i) { return in[map.first + i].data<float>(); };
  if (!map.norm) {
    return ChannelMap(
        s.in, {.snake_alpha = values(0), .snake_amplitude = values(1)});
  }
  size_t at = static_cast<size_t>(batch) * s.in;
  return instance_norm_map(
      x,
      s.time,
      s.in,
      values(0) + at,
      values(1) + at,
      map.eps,
      {.snake_alpha = map.snake ? values(2) : nullptr,
       .leaky_slope = map.slope});
}

mx::array run_conv1d(
    const mx::array& x,
    const std::shared_ptr<const PackedConv1d>& pack,
    const Shape& s,
    const Conv1dOptions& o,
    const std::optional<mx::array>& residual,
    const std::optional<mx::array>& past,
    const OnTheWayIn& way) {
  bool depthwise = !pack->depthwise.empty();
  std::vector<mx::array> inputs = {as_f32(x)};
  if (residual) {
    inputs.push_back(as_f32(*residual));
  }
  const auto past_at = inputs.size();
  if (s.past > 0) {
    inputs.push_back(as_f32(*past));
  }
  std::optional<MapArguments> arguments;
  int first = static_cast<int>(inputs.size());
  if (way.norm != nullptr) {
    const AdaNorm& norm = *way.norm;
    arguments = {
        first, true, norm.snake_alpha.has_value(), norm.eps, norm.leaky_slope};
    inputs.push_back(as_f32(norm.gamma));
    inputs.push_back(as_f32(norm.beta));
    if (norm.snake_alpha) {
      inputs.push_back(as_f32(*norm.snake_alpha));
    }
  } else if (way.snake != nullptr) {
    arguments = {first, false, true};
    inputs.push_back(as_f32(way.snake->alpha));
    inputs.push_back(as_f32(way.snake->amplitude));
  }
  int batch = x.shape(0);
  double flops =
      2.0 * batch * s.time_out * s.out * s.kernel * (depthwise ? 1 : s.in);
  double bytes = 4.0 * batch *
      (static_cast<double>(s.time) * s.in * (way.norm != nullptr ? 2 : 1) +
       static_cast<double>(s.time_out) * s.out * (residual ? 2 : 1));
  bool transforms = pack->transforms(s.time_out, o.dilation);
  const char* name = transforms ? "conv1d_fft"
      : depthwise               ? "conv1d_depthwise"
                                : "conv1d";
  bool has_residual = residual.has_value();
  auto y = cpu_op(
      name,
      inputs,
      {batch, s.time_out, s.out},
      mx::float32,
      [pack,
       s,
       o,
       batch,
       depthwise,
       transforms,
       has_residual,
       past_at,
       arguments](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        std::vector<float> buffer;
        for (int b = 0; b < batch; ++b) {
          const float* from =
              in[0].data<float>() + static_cast<size_t>(b) * s.time * s.in;
          size_t at = static_cast<size_t>(b) * s.time_out * s.out;
          float* to = out[0].data<float>() + at;
          const float* rest = has_residual ? in[1].data<float>() + at : nullptr;
          if (depthwise) {
            fill(to, rest, pack->bias, s.time_out);
            depthwise_conv(
                padded(from, s, o, buffer), pack->depthwise.data(), to, s, o);
            continue;
          }
          std::optional<ChannelMap> map;
          if (arguments) {
            map = make_map(*arguments, in, b, from, s);
          }
          ConvInput input{
              from,
              s.time,
              o.pad_left + s.past,
              o.stride,
              o.dilation,
              map ? &*map : nullptr};
          if (s.past > 0) {
            input.past_time = s.past;
            input.past = in[past_at].data<float>() +
                static_cast<size_t>(b) * s.past * s.in;
          }
          ConvOutput output{to, s.time_out, rest, pack->bias.data()};
          if (transforms) {
            fft_conv1d(*pack->fft, input, output);
          } else {
            direct_conv1d(*pack->direct, input, output);
          }
        }
      },
      {flops, bytes},
      Layout::contiguous,
      has_residual ? 1 : no_input);
  return mx::astype(y, x.dtype());
}

mx::array depthwise_transpose(
    const mx::array& x,
    const std::shared_ptr<const PackedConv1d>& pack,
    int kernel,
    const ConvTranspose1dOptions& o,
    int time_out) {
  int batch = x.shape(0);
  int time = x.shape(1);
  size_t channels = x.shape(2);
  return cpu_op(
      "conv_transpose1d_depthwise",
      {as_f32(x)},
      {batch, time_out, static_cast<int>(channels)},
      mx::float32,
      [=](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        const float* w = pack->depthwise.data();
        for (int b = 0; b < batch; ++b) {
          const float* from = in[0].data<float>() + b * time * channels;
          float* to = out[0].data<float>() + b * time_out * channels;
          fill(to, nullptr, pack->bias, time_out);
#pragma omp parallel for
          for (int n = 0; n < time_out; ++n) {
            for (int j = (n + o.padding) % o.stride; j < kernel;
                 j += o.stride) {
              int t = (n + o.padding - j) / o.stride;
              if (n + o.padding < j || t >= time) {
                continue;
              }
              const float* x_row = from + t * channels;
              const float* w_row = w + j * channels;
              float* y_row = to + n * channels;
#pragma omp simd
              for (size_t c = 0; c < channels; ++c) {
                y_row[c] += x_row[c] * w_row[c];
              }
            }
          }
        }
      },
      {2.0 * batch * time * kernel * static_cast<double>(channels), 0});
}

std::shared_ptr<const PackedConv1d> packed_conv1d(
    const Conv1dWeight& weight,
    const Conv1dOptions& options) {
  if (!*weight.packed) {
    *weight.packed = pack_conv1d(
        {.values = weight.weight, .bias = weight.bias}, {0, 1, 2}, options);
  }
  return *weight.packed;
}

std::shared_ptr<const PackedConv1d> packed_conv_transpose1d(
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& options) {
  if (!*weight.packed) {
    *weight.packed = pack_conv_transpose1d(
        {.values = weight.weight, .bias = weight.bias}, {0, 1, 2}, options);
  }
  return *weight.packed;
}

// Only the shape; a use of the values would show as NaN.
Conv1dWeight shape_only(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    std::shared_ptr<const PackedConv1d> packed) {
  Conv1dWeight weight{
      .weight = mx::broadcast_to(
          mx::array(std::numeric_limits<float>::quiet_NaN()),
          mx::transpose(stored.values, axes).shape())};
  *weight.packed = std::move(packed);
  return weight;
}

} // namespace

Conv1dWeight load_conv1d_cpu(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const Conv1dOptions& options) {
  return shape_only(stored, axes, pack_conv1d(stored, axes, options));
}

Conv1dWeight load_conv_transpose1d_cpu(
    const StoredConv1dWeight& stored,
    const std::vector<int>& axes,
    const ConvTranspose1dOptions& options) {
  return shape_only(stored, axes, pack_conv_transpose1d(stored, axes, options));
}

mx::array conv1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& o,
    const std::optional<mx::array>& residual,
    const std::optional<mx::array>& past,
    const OnTheWayIn& way /* = {} */) {
  auto pack = packed_conv1d(weight, o);
  if (past && !pack->depthwise.empty()) {
    return conv1d_cpu(
        mx::concatenate({mx::astype(*past, x.dtype()), x}, 1),
        weight,
        o,
        residual,
        std::nullopt);
  }
  return run_conv1d(
      x,
      pack,
      shape_of(x, past ? past->shape(1) : 0, weight.weight, o),
      o,
      residual,
      past,
      way);
}

mx::array conv_transpose1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& o,
    const std::optional<mx::array>& past,
    const OnTheWayIn& way /* = {} */) {
  auto pack = packed_conv_transpose1d(weight, o);
  if (past && o.groups > 1) {
    return conv_transpose1d_cpu(
        mx::concatenate({mx::astype(*past, x.dtype()), x}, 1),
        weight,
        o,
        std::nullopt);
  }
  int kernel = weight.weight.shape(1);
  int before = past ? past->shape(1) : 0;
  int time_out = (before + x.shape(1) - 1) * o.stride - 2 * o.padding + kernel +
      o.output_padding;
  if (o.groups > 1) {
    return mx::astype(
        depthwise_transpose(x, pack, kernel, o, time_out), x.dtype());
  }
  int out = weight.weight.shape(0);
  int batch = x.shape(0);
  int taps = (kernel + o.stride - 1) / o.stride;
  // Rows of `stride` outputs that are cut as a whole are not computed.
  int dropped = std::min(o.padding / o.stride, taps - 1);
  int cut = o.padding - dropped * o.stride;
  int rows = (cut + time_out + o.stride - 1) / o.stride;
  Shape s{x.shape(1), before, x.shape(2), taps, o.stride * out, rows};
  Conv1dOptions plain{.pad_left = taps - 1 - dropped};
  auto y = run_conv1d(x, pack, s, plain, std::nullopt, past, way);
  y = mx::reshape(y, {batch, rows * o.stride, out});
  return mx::slice(y, {0, cut, 0}, {batch, cut + time_out, out});
}

} // namespace mlx_audio::kernels
