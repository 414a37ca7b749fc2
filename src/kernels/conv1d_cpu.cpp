#include "kernels/conv1d_cpu.h"

#include <dnnl.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/conv1d_fft.h"
#include "kernels/cpu_op.h"

namespace mlx_audio::kernels {

class PackedConv1d {
 public:
  mx::array weight; // f32, evaluated
  std::vector<float> bias; // [out], zeros if the layer has none
  std::unique_ptr<FftConv1dWeight> fft; // where the Fourier kernel pays off
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

std::vector<float> bias_of(const Conv1dWeight& weight) {
  std::vector<float> bias(weight.weight.shape(0), 0.0f);
  if (weight.bias) {
    auto b = as_f32(*weight.bias);
    mx::eval(b);
    std::copy_n(b.data<float>(), bias.size(), bias.begin());
  }
  return bias;
}

// The packed weights, made by `make` at the first call.
template <class Make>
std::shared_ptr<const PackedConv1d> packed(
    const Conv1dWeight& weight,
    Make&& make) {
  if (!*weight.packed) {
    *weight.packed = make();
  }
  return *weight.packed;
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

// In channels-last order each tap of all outputs is a strided view of x: one
// product a tap. Few channels would make these products shallow; then the taps
// of an output, which are neighbours in memory, are copied to one row.
void matrix_product_conv(
    const float* x,
    const float* weight, // [out, kernel, in]
    float* y,
    const Shape& s,
    const Conv1dOptions& o) {
  size_t in = s.in;
  dnnl_dim_t depth = static_cast<dnnl_dim_t>(s.kernel) * s.in;
  auto product = [&](const float* a, dnnl_dim_t row, dnnl_dim_t k, size_t tap) {
    dnnl_sgemm(
        'N',
        'T',
        s.time_out,
        s.out,
        k,
        1.0f,
        a,
        row,
        weight + tap * in,
        depth,
        1.0f,
        y,
        s.out);
  };
  if (s.kernel > 1 && in < 64) {
    std::vector<float> rows(static_cast<size_t>(s.time_out) * depth);
#pragma omp parallel for
    for (int t = 0; t < s.time_out; ++t) {
      for (int j = 0; j < s.kernel; ++j) {
        size_t from = static_cast<size_t>(t) * o.stride + j * o.dilation;
        std::copy_n(x + from * in, in, rows.data() + (t * s.kernel + j) * in);
      }
    }
    product(rows.data(), depth, depth, 0);
    return;
  }
  for (int j = 0; j < s.kernel; ++j) {
    product(
        x + static_cast<size_t>(j) * o.dilation * in,
        static_cast<dnnl_dim_t>(o.stride) * s.in,
        s.in,
        j);
  }
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

} // namespace

mx::array conv1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const Conv1dOptions& o,
    const std::optional<mx::array>& residual) {
  Shape s = shape_of(x, weight.weight, o);
  bool depthwise = o.groups > 1;
  auto pack = packed(weight, [&] {
    auto w = as_f32(
        depthwise ? mx::transpose(weight.weight, {2, 1, 0}) : weight.weight);
    mx::eval(w);
    auto made = std::make_shared<PackedConv1d>(
        PackedConv1d{w, bias_of(weight), nullptr});
    if (!depthwise && o.stride == 1 &&
        FftConv1dWeight::worthwhile(s.in, s.out, s.kernel)) {
      bool half = weight.weight.dtype() != mx::float32;
      made->fft = std::make_unique<FftConv1dWeight>(
          w.data<float>(), s.out, s.kernel, s.in, half);
    }
    return made;
  });
  // Few tiles do not pay for a pass over the transformed weights.
  bool fft = pack->fft != nullptr && s.time_out >= 4 * s.kernel * o.dilation;

  std::vector<mx::array> inputs = {as_f32(x)};
  if (residual) {
    inputs.push_back(as_f32(*residual));
  }
  int batch = x.shape(0);
  double flops =
      2.0 * batch * s.time_out * s.out * s.kernel * (depthwise ? 1 : s.in);
  double bytes = 4.0 * batch *
      (static_cast<double>(s.time) * s.in +
       static_cast<double>(s.time_out) * s.out * (residual ? 2 : 1));
  auto y = cpu_op(
      fft ? "conv1d_fft"
          : depthwise ? "conv1d_depthwise"
                      : "conv1d",
      inputs,
      {batch, s.time_out, s.out},
      mx::float32,
      [pack, s, o, batch, fft, depthwise](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        std::vector<float> buffer;
        for (int b = 0; b < batch; ++b) {
          const float* from =
              in[0].data<float>() + static_cast<size_t>(b) * s.time * s.in;
          size_t at = static_cast<size_t>(b) * s.time_out * s.out;
          float* to = out[0].data<float>() + at;
          const float* rest =
              in.size() > 1 ? in[1].data<float>() + at : nullptr;
          if (fft) {
            fft_conv1d(
                *pack->fft,
                {from, s.time, o.pad_left, o.dilation},
                {to, s.time_out, rest, pack->bias.data()});
            continue;
          }
          fill(to, rest, pack->bias, s.time_out);
          const float* source = padded(from, s, o, buffer);
          const float* w = pack->weight.data<float>();
          if (depthwise) {
            depthwise_conv(source, w, to, s, o);
          } else {
            matrix_product_conv(source, w, to, s, o);
          }
        }
      },
      {flops, bytes});
  return mx::astype(y, x.dtype());
}

namespace {

mx::array depthwise_transpose(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& o,
    int time_out) {
  auto pack = packed(weight, [&] {
    auto w = as_f32(mx::transpose(weight.weight, {2, 1, 0})); // [1, kernel, ch]
    mx::eval(w);
    return std::make_shared<PackedConv1d>(
        PackedConv1d{w, bias_of(weight), nullptr});
  });
  int batch = x.shape(0);
  int time = x.shape(1);
  int kernel = weight.weight.shape(1);
  size_t channels = x.shape(2);
  return cpu_op(
      "conv_transpose1d_depthwise",
      {as_f32(x)},
      {batch, time_out, static_cast<int>(channels)},
      mx::float32,
      [=](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        const float* w = pack->weight.data<float>();
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
      {2.0 * batch * time * kernel * channels, 0});
}

} // namespace

mx::array conv_transpose1d_cpu(
    const mx::array& x,
    const Conv1dWeight& weight,
    const ConvTranspose1dOptions& o) {
  int kernel = weight.weight.shape(1);
  int time_out =
      (x.shape(1) - 1) * o.stride - 2 * o.padding + kernel + o.output_padding;
  if (o.groups > 1) {
    return mx::astype(depthwise_transpose(x, weight, o, time_out), x.dtype());
  }
  // Output sample t stride + p is a plain convolution of ceil(kernel / stride)
  // taps for each phase p; all phases together are one convolution with
  // stride * out channels, whose rows are then read as samples.
  int out = weight.weight.shape(0);
  int in = x.shape(2);
  int taps = (kernel + o.stride - 1) / o.stride;
  auto pack = packed(weight, [&] {
    auto w = mx::pad(
        mx::astype(weight.weight, mx::float32),
        {{0, 0}, {0, taps * o.stride - kernel}, {0, 0}});
    w = mx::reshape(w, {out, taps, o.stride, in});
    w = mx::slice(
        w, {0, taps - 1, 0, 0}, {out, -taps - 1, o.stride, in}, {1, -1, 1, 1});
    w = as_f32(
        mx::reshape(
            mx::transpose(w, {2, 0, 1, 3}), {o.stride * out, taps, in}));
    mx::eval(w);
    auto bias = bias_of(weight);
    std::vector<float> repeated;
    for (int p = 0; p < o.stride; ++p) {
      repeated.insert(repeated.end(), bias.begin(), bias.end());
    }
    return std::make_shared<PackedConv1d>(
        PackedConv1d{w, std::move(repeated), nullptr});
  });
  Conv1dWeight phases{.weight = pack->weight, .packed = weight.packed};
  auto y = conv1d_cpu(
      x,
      phases,
      {.pad_left = taps - 1,
       .pad_right = taps - 1 + (o.output_padding > 0 ? 1 : 0)},
      std::nullopt);
  int batch = x.shape(0);
  y = mx::reshape(y, {batch, y.shape(1) * o.stride, out});
  return mx::slice(y, {0, o.padding, 0}, {batch, o.padding + time_out, out});
}

} // namespace mlx_audio::kernels
