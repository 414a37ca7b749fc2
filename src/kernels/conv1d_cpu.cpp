#include "kernels/conv1d_cpu.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "kernels/conv1d_direct.h"
#include "kernels/conv1d_fft.h"
#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

class PackedConv1d {
 public:
  std::vector<float> bias; // [out], zeros if the layer has none
  // One of:
  std::unique_ptr<FftConv1dWeight> fft;
  std::unique_ptr<DirectConv1dWeight> direct;
  std::vector<float> depthwise; // [kernel, channels]
};

namespace {

struct Shape {
  int time;
  int in;
  int kernel;
  int out;
  int time_out;
};

Shape shape_of(
    const mx::array& x,
    const mx::array& weight,
    const Conv1dOptions& o) {
  Shape s{x.shape(1), x.shape(2), weight.shape(1), weight.shape(0), 0};
  s.time_out =
      (s.time + o.pad_left + o.pad_right - o.dilation * (s.kernel - 1) - 1) /
          o.stride +
      1;
  return s;
}

mx::array as_f32(const mx::array& a) {
  return mx::contiguous(mx::astype(a, mx::float32));
}

std::vector<float> values_of(const mx::array& a) {
  auto f = as_f32(a);
  mx::eval(f);
  return {f.data<float>(), f.data<float>() + f.size()};
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

std::vector<float> bias_of(const Conv1dWeight& weight) {
  return weight.bias ? values_of(*weight.bias)
                     : std::vector<float>(weight.weight.shape(0), 0.0f);
}

// Weights [out, kernel, in] in the form that suits their shape.
std::shared_ptr<PackedConv1d> pack(
    const mx::array& weight,
    std::vector<float> bias,
    int stride,
    bool half) {
  auto w = as_f32(weight);
  mx::eval(w);
  int out = w.shape(0);
  int kernel = w.shape(1);
  int in = w.shape(2);
  auto packed = std::make_shared<PackedConv1d>();
  packed->bias = std::move(bias);
  if (stride == 1 && FftConv1dWeight::worthwhile(in, out, kernel)) {
    packed->fft = std::make_unique<FftConv1dWeight>(
        w.data<float>(), out, kernel, in, half);
  } else {
    packed->direct = std::make_unique<DirectConv1dWeight>(
        w.data<float>(), out, kernel, in, half);
  }
  return packed;
}

// depthwise: [channels, kernel, 1] -> [kernel, channels]
std::shared_ptr<PackedConv1d> pack_depthwise(const Conv1dWeight& weight) {
  auto packed = std::make_shared<PackedConv1d>();
  packed->bias = bias_of(weight);
  packed->depthwise = values_of(mx::transpose(weight.weight, {2, 1, 0}));
  return packed;
}

bool half_is_enough(const Conv1dWeight& weight) {
  return weight.storage.value_or(weight.weight.dtype()) != mx::float32;
}

// A transposed convolution's weight [out, kernel, in] as that of the plain
// convolution whose rows hold `stride` samples each: output sample
// t stride + p is a convolution of ceil(kernel / stride) taps for each phase p.
mx::array phases_of(const mx::array& weight, int stride) {
  int out = weight.shape(0);
  int kernel = weight.shape(1);
  int in = weight.shape(2);
  int taps = (kernel + stride - 1) / stride;
  auto w = mx::pad(
      mx::astype(weight, mx::float32),
      {{0, 0}, {0, taps * stride - kernel}, {0, 0}});
  w = mx::reshape(w, {out, taps, stride, in});
  w = mx::slice(
      w, {0, taps - 1, 0, 0}, {out, -taps - 1, stride, in}, {1, -1, 1, 1});
  return mx::reshape(
      mx::transpose(w, {2, 0, 1, 3}), {stride * out, taps, in});
}

void release(Conv1dWeight& weight) {
  // Its shape stays; a use of the values would show as NaN.
  weight.weight = mx::broadcast_to(
      mx::array(std::numeric_limits<float>::quiet_NaN()),
      weight.weight.shape());
}

mx::array run_conv1d(
    const mx::array& x,
    const std::shared_ptr<const PackedConv1d>& pack,
    const Shape& s,
    const Conv1dOptions& o,
    const std::optional<mx::array>& residual) {
  bool depthwise = !pack->depthwise.empty();
  std::vector<mx::array> inputs = {as_f32(x)};
  if (residual) {
    inputs.push_back(as_f32(*residual));
  }
  int batch = x.shape(0);
  double flops = 2.0 * batch * s.time_out * s.out * s.kernel *
      (depthwise ? 1 : s.in);
  double bytes = 4.0 * batch *
      (static_cast<double>(s.time) * s.in +
       static_cast<double>(s.time_out) * s.out * (residual ? 2 : 1));
  const char* name = pack->fft != nullptr ? "conv1d_fft"
      : depthwise                         ? "conv1d_depthwise"
                                          : "conv1d";
  auto y = cpu_op(
      name,
      inputs,
      {batch, s.time_out, s.out},
      mx::float32,
      [pack, s, o, batch, depthwise](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        std::vector<float> buffer;
        for (int b = 0; b < batch; ++b) {
          const float* from =
              in[0].data<float>() + static_cast<size_t>(b) * s.time * s.in;
          size_t at = static_cast<size_t>(b) * s.time_out * s.out;
          float* to = out[0].data<float>() + at;
          const float* rest =
              in.size() > 1 ? in[1].data<float>() + at : nullptr;
          if (pack->fft != nullptr) {
            fft_conv1d(
                *pack->fft,
                {from, s.time, o.pad_left, o.dilation},
                {to, s.time_out, rest, pack->bias.data()});
            continue;
          }
          fill(to, rest, pack->bias, s.time_out);
          const float* source = padded(from, s, o, buffer);
          if (depthwise) {
            depthwise_conv(source, pack->depthwise.data(), to, s, o);
          } else {
            direct_conv1d(
                *pack->direct, source, o.stride, o.dilation, to, s.time_out);
          }
        }
      },
      {flops, bytes});
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

} // namespace

void pack_conv1d_cpu(const Conv1dWeight& weight, const Conv1dOptions& o) {
  if (!*weight.packed) {
    *weight.packed = o.groups > 1
        ? pack_depthwise(weight)
        : pack(
              weight.weight, bias_of(weight), o.stride, half_is_enough(weight));
  }
}

void pack_conv_transpose1d_cpu(
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& o) {
  if (*weight.packed) {
    return;
  }
  if (o.groups > 1) {
    *weight.packed = pack_depthwise(weight);
    return;
  }
  auto bias = bias_of(weight);
  std::vector<float> repeated; // one for each phase
  for (int p = 0; p < o.stride; ++p) {
    repeated.insert(repeated.end(), bias.begin(), bias.end());
  }
  *weight.packed = pack(
      phases_of(weight.weight, o.stride),
      std::move(repeated),
      1,
      half_is_enough(weight));
}

void release_after_packing(Conv1dWeight& weight) {
  if (*weight.packed) {
    release(weight);
  }
}

mx::array conv1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& o,
    const std::optional<mx::array>& residual) {
  pack_conv1d_cpu(weight, o);
  return run_conv1d(
      x, *weight.packed, shape_of(x, weight.weight, o), o, residual);
}

mx::array conv_transpose1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& o) {
  pack_conv_transpose1d_cpu(weight, o);
  int kernel = weight.weight.shape(1);
  int time_out =
      (x.shape(1) - 1) * o.stride - 2 * o.padding + kernel + o.output_padding;
  if (o.groups > 1) {
    return mx::astype(
        depthwise_transpose(x, *weight.packed, kernel, o, time_out),
        x.dtype());
  }
  int out = weight.weight.shape(0);
  int batch = x.shape(0);
  int taps = (kernel + o.stride - 1) / o.stride;
  Conv1dOptions plain{
      .pad_left = taps - 1,
      .pad_right = taps - 1 + (o.output_padding > 0 ? 1 : 0)};
  Shape s{x.shape(1), x.shape(2), taps, o.stride * out, 0};
  s.time_out = s.time + plain.pad_left + plain.pad_right - taps + 1;
  auto y = run_conv1d(x, *weight.packed, s, plain, std::nullopt);
  y = mx::reshape(y, {batch, s.time_out * o.stride, out});
  return mx::slice(y, {0, o.padding, 0}, {batch, o.padding + time_out, out});
}

} // namespace mlx_audio::kernels
