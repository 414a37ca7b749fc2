// Convolutions of Kokoro's decoder, in GFLOP/s of direct convolution: f32 and
// bf16 weights; with bf16 the input's norm as the decoder has it.
#include "kernels/conv1d.h"

#include "kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

void add(int time, int in, int out, int kernel, int dilation) {
  int pad = (kernel - 1) * dilation / 2;
  Conv1dOptions options{
      .pad_left = pad, .pad_right = pad, .dilation = dilation};
  std::string shape = std::to_string(time) + "x" + std::to_string(in) + "x" +
      std::to_string(out) + "/k" + std::to_string(kernel) + "/d" +
      std::to_string(dilation);
  double flops = 2.0 * time * in * out * kernel;
  auto x = random({1, time, in});
  auto weight = random({out, kernel, in}, 2);
  Conv1dWeight f32{.weight = weight};
  Conv1dWeight bf16{.weight = mx::astype(weight, mx::bfloat16)};
  mx::eval(bf16.weight);
  AdaNorm norm{
      random({1, in}, 3),
      random({1, in}, 4),
      1e-5f,
      mx::abs(random({in}, 5)) + mx::array(0.1f)};
  compare("f32/" + shape, flops, [=] { return conv1d(x, f32, options); });
  compare("bf16/" + shape, flops, [=] { return conv1d(x, bf16, options); });
  compare("bf16+norm/" + shape, flops, [=] {
    return ada_norm_conv1d(x, norm, bf16, options);
  });
}

void add_transposed(int time, int in, int out, int kernel, int stride) {
  auto x = random({1, time, in});
  Conv1dWeight w{
      .weight = mx::astype(random({out, kernel, in}, 2), mx::bfloat16)};
  mx::eval(w.weight);
  compare(
      "transposed/bf16/" + std::to_string(time) + "x" + std::to_string(in) +
          "x" + std::to_string(out) + "/k" + std::to_string(kernel) + "/s" +
          std::to_string(stride),
      2.0 * time * in * out * kernel,
      [=] {
        return conv_transpose1d(
            x, w, {.stride = stride, .padding = (kernel - stride) / 2});
      });
}

const bool registered = [] {
  for (int kernel : {3, 7, 11}) {
    add(1000, 256, 256, kernel, 1);
    add(3000, 128, 128, kernel, 5);
  }
  add(200, 1090, 1024, 3, 1);
  add(200, 514, 1024, 1, 1);
  add_transposed(200, 512, 256, 20, 10);
  add_transposed(1000, 256, 128, 12, 6);
  return true;
}();

} // namespace
} // namespace mlx_audio::kernels
