#include "kernels/norm.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/add_scaled.h"
#include "kernels/cpu_op.h"
#include "kernels/global_norm_cpu.h"
#include "kernels/instance_norm_cpu.h"
#include "kernels/row_norm_cpu.h"

namespace mlx_audio::kernels {

mx::array layer_norm(
    const mx::array& x,
    const std::optional<mx::array>& weight,
    const std::optional<mx::array>& bias,
    float eps) {
  return mx::fast::layer_norm(x, weight, bias, eps);
}

mx::array global_norm(const mx::array& x, const GlobalNorm& norm) {
  const auto& [weight, bias, eps, skip, slope] = norm;
  if (skip.has_value() != slope.has_value()) {
    throw std::invalid_argument("[global_norm] a skip needs a slope.");
  }
  if (!use_cpu_kernels() || x.size() == 0) {
    auto centred = x - mx::mean(x);
    auto variance = mx::mean(mx::square(centred));
    auto y = centred * mx::rsqrt(variance + mx::array(eps)) * weight + bias;
    if (!skip) {
      return y;
    }
    y = y + *skip;
    auto zero = mx::array(0.0f);
    return mx::maximum(y, zero) + *slope * mx::minimum(y, zero);
  }
  std::vector<mx::array> inputs = {x, weight, bias};
  if (skip) {
    inputs.push_back(*skip);
    inputs.push_back(*slope);
  }
  return cpu_op(
      "global_norm",
      inputs,
      x.shape(),
      mx::float32,
      [eps = norm.eps](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        bool skips = in.size() > 3;
        int64_t dim = in[0].shape(-1);
        global_norm_cpu(
            in[0].data<float>(),
            in[1].data<float>(),
            in[2].data<float>(),
            eps,
            skips ? in[3].data<float>() : nullptr,
            skips ? *in[4].data<float>() : 0.0f,
            static_cast<int64_t>(in[0].size()) / dim,
            dim,
            out[0].data<float>());
      },
      {0, 16.0 * static_cast<double>(x.size())});
}

namespace {

bool all_f32(std::initializer_list<const mx::array*> arrays) {
  return std::all_of(arrays.begin(), arrays.end(), [](const mx::array* a) {
    return a->dtype() == mx::float32 && a->size() > 0;
  });
}

int64_t rows_of(const mx::array& x) {
  return static_cast<int64_t>(x.size()) / x.shape(-1);
}

} // namespace

mx::array rms_norm(const mx::array& x, const mx::array& weight, float eps) {
  if (!use_cpu_kernels() || !all_f32({&x, &weight})) {
    return mx::fast::rms_norm(x, weight, eps);
  }
  if (weight.shape() != mx::Shape{x.shape(-1)}) {
    throw std::invalid_argument(
        "[rms_norm] the weight must be as wide as x, " +
        std::to_string(x.shape(-1)) + ".");
  }
  auto size = static_cast<double>(x.size());
  return cpu_op(
      "rms_norm",
      {x, weight},
      x.shape(),
      mx::float32,
      [eps](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        rms_norm_cpu(
            in[0].data<float>(),
            in[1].data<float>(),
            eps,
            rows_of(in[0]),
            in[0].shape(-1),
            out[0].data<float>());
      },
      {4 * size, 8 * size});
}

mx::array add_scaled(
    const mx::array& x,
    const mx::array& branch,
    const mx::array& scale) {
  if (x.shape() != branch.shape() || scale.shape() != mx::Shape{x.shape(-1)}) {
    throw std::invalid_argument(
        "[add_scaled] x, branch and scale do not fit together.");
  }
  if (!use_cpu_kernels() || !all_f32({&x, &branch, &scale})) {
    return x + branch * scale;
  }
  auto size = static_cast<double>(x.size());
  return cpu_op(
      "add_scaled",
      {x, branch, scale},
      x.shape(),
      mx::float32,
      [](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        add_scaled_cpu(
            in[0].data<float>(),
            in[1].data<float>(),
            in[2].data<float>(),
            rows_of(in[0]),
            in[0].shape(-1),
            out[0].data<float>());
      },
      {2 * size, 12 * size},
      Layout::contiguous,
      /* reusable */ 1);
}

namespace {

mx::array as_f32(const mx::array& a) {
  return mx::astype(a, mx::float32);
}

mx::array channel_function(
    const char* name,
    const mx::array& x,
    const std::optional<mx::array>& alpha,
    float slope,
    const std::optional<mx::array>& amplitude = std::nullopt) {
  std::vector<mx::array> inputs = {as_f32(x)};
  if (alpha) {
    inputs.push_back(as_f32(*alpha));
  }
  if (amplitude) {
    inputs.push_back(as_f32(*amplitude));
  }
  int channels = x.shape(-1);
  auto y = cpu_op(
      name,
      inputs,
      x.shape(),
      mx::float32,
      [channels, slope](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        channel_function_cpu(
            in[0].data<float>(),
            out[0].data<float>(),
            in[0].size() / channels,
            channels,
            {in.size() > 1 ? in[1].data<float>() : nullptr,
             slope,
             in.size() > 2 ? in[2].data<float>() : nullptr});
      },
      {0, 8.0 * static_cast<double>(x.size())});
  return mx::astype(y, x.dtype());
}

mx::array ada_instance_norm_mlx(const mx::array& x, const AdaNorm& norm) {
  const auto& [gamma, beta, eps, snake_alpha, leaky_slope] = norm;
  auto f = as_f32(x);
  auto mean = mx::mean(f, 1, true);
  auto var = mx::var(f, 1, true);
  auto scale = mx::expand_dims(as_f32(gamma), 1) + mx::array(1.0f);
  auto shift = mx::expand_dims(as_f32(beta), 1);
  auto y = (f - mean) * mx::rsqrt(var + mx::array(eps)) * scale + shift;
  if (snake_alpha) {
    y = snake(y, *snake_alpha);
  } else if (leaky_slope != 1.0f) {
    y = leaky_relu(y, leaky_slope);
  }
  return mx::astype(y, x.dtype());
}

} // namespace

mx::array snake(const mx::array& x, const mx::array& alpha) {
  if (use_cpu_kernels() && x.size() > 0) {
    return channel_function("snake", x, alpha, 1.0f);
  }
  auto a = mx::astype(alpha, x.dtype());
  return x + mx::square(mx::sin(a * x)) / a;
}

mx::array snake(const mx::array& x, const SnakeBeta& function) {
  const auto& [alpha, amplitude] = function;
  if (use_cpu_kernels() && x.size() > 0) {
    return channel_function("snake", x, alpha, 1.0f, amplitude);
  }
  auto a = mx::astype(alpha, x.dtype());
  return x + mx::square(mx::sin(a * x)) * mx::astype(amplitude, x.dtype());
}

mx::array leaky_relu(const mx::array& x, float slope) {
  if (use_cpu_kernels() && x.size() > 0) {
    return channel_function("leaky_relu", x, std::nullopt, slope);
  }
  return mx::maximum(x, x * mx::array(slope, x.dtype()));
}

mx::array ada_instance_norm(const mx::array& x, const AdaNorm& norm) {
  const auto& [gamma, beta, eps, snake_alpha, leaky_slope] = norm;
  if (x.ndim() != 3 || gamma.shape(-1) != x.shape(2)) {
    throw std::invalid_argument(
        "[ada_instance_norm] x must be [batch, time, channels] and gamma " +
        std::string("[batch, channels]."));
  }
  if (!use_cpu_kernels() || x.size() == 0) {
    return ada_instance_norm_mlx(x, norm);
  }
  std::vector<mx::array> inputs = {as_f32(x), as_f32(gamma), as_f32(beta)};
  if (snake_alpha) {
    inputs.push_back(as_f32(*snake_alpha));
  }
  int batch = x.shape(0);
  int time = x.shape(1);
  int channels = x.shape(2);
  auto y = cpu_op(
      "ada_instance_norm",
      inputs,
      x.shape(),
      mx::float32,
      [batch, time, channels, eps = norm.eps, slope = norm.leaky_slope](
          const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        for (int b = 0; b < batch; ++b) {
          size_t at = static_cast<size_t>(b) * time * channels;
          ada_instance_norm_cpu(
              in[0].data<float>() + at,
              out[0].data<float>() + at,
              time,
              channels,
              in[1].data<float>() + static_cast<size_t>(b) * channels,
              in[2].data<float>() + static_cast<size_t>(b) * channels,
              eps,
              {in.size() > 3 ? in[3].data<float>() : nullptr, slope, nullptr});
        }
      },
      {0, 12.0 * static_cast<double>(x.size())});
  return mx::astype(y, x.dtype());
}

} // namespace mlx_audio::kernels
