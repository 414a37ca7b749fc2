// iSTFTNet's transforms and excitation for ten seconds of audio.
#include "kernels/stft.h"

#include "kernels/compare.h"
#include "kernels/harmonic_source.h"

namespace mlx_audio::kernels {
namespace {

const bool registered = [] {
  auto x = random({1, 240000});
  auto spectrum = random({1, 48001, 22}, 2);
  auto f0 = mx::full({1, 800}, 200.0f);
  auto weight = random({9}, 3);
  auto bias = mx::array({0.0f});
  mx::eval(f0, bias);
  compare("stft/10s", 0, [=] { return magnitude_phase_stft(x, 20, 5); });
  compare("istft/10s", 0, [=] { return istft_from_log(spectrum, 20, 5); });
  compare("harmonic_source/10s", 0, [=] {
    return harmonic_source(f0, weight, bias, x);
  });
  return true;
}();

} // namespace
} // namespace mlx_audio::kernels
