// Kokoro's LSTMs: 640 -> 2 x 256 over phonemes and over frames.
#include "kernels/lstm.h"

#include "kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

void add(int time, mx::Dtype type, const char* name) {
  auto make = [&](int seed) {
    auto cast = [&](const mx::array& a) {
      auto b = mx::astype(a * mx::array(0.05f), type);
      mx::eval(b);
      return b;
    };
    return LstmWeight{
        cast(random({1024, 640}, seed)),
        cast(random({1024, 256}, seed + 1)),
        cast(random({1024}, seed + 2))};
  };
  auto x = random({1, time, 640});
  auto forward = make(2);
  auto backward = make(5);
  compare(
      std::string("bidirectional/") + name + "/" + std::to_string(time) +
          "x640x256",
      2.0 * 2 * time * 1024 * (640 + 256),
      [=] { return bidirectional_lstm(x, forward, backward); });
}

const bool registered = [] {
  add(100, mx::float32, "f32");
  add(100, mx::bfloat16, "bf16");
  add(400, mx::bfloat16, "bf16");
  return true;
}();

} // namespace
} // namespace mlx_audio::kernels
