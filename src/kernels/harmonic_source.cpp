#include "kernels/harmonic_source.h"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "kernels/cpu_op.h"
#include "kernels/harmonic_source_cpu.h"

namespace mlx_audio::kernels {

namespace {

mx::array harmonic_source_mlx(
    const mx::array& f0,
    const mx::array& weight,
    const mx::array& bias,
    const std::optional<mx::array>& noise,
    const HarmonicSourceOptions& o) {
  int batch = f0.shape(0);
  int time = f0.shape(1);
  int harmonics = weight.shape(0);
  auto one = mx::array(1.0f);
  auto multiples = mx::arange(1, harmonics + 1, mx::float32);
  auto cycles = mx::remainder(
      mx::expand_dims(f0, -1) * multiples /
          mx::array(static_cast<float>(o.sample_rate)),
      one); // [batch, time, harmonics], per sample
  auto steps = cycles * mx::array(static_cast<float>(o.upsample));
  auto phase = mx::remainder(mx::cumsum(mx::remainder(steps, one), 1), one);

  // Sample n of an interval lies at (n + 0.5) / upsample - 0.5 intervals from
  // its middle: the first half runs from the interval before (held at the
  // start), the second half to the one after (held at the end).
  std::vector<float> places(o.upsample);
  for (int n = 0; n < o.upsample; ++n) {
    places[n] = static_cast<float>((n + 0.5) / o.upsample - 0.5);
  }
  auto w = mx::array(places.data(), {1, 1, o.upsample, 1}, mx::float32);
  auto held = mx::zeros({batch, 1, harmonics}, mx::float32);
  auto inner = mx::slice(steps, {0, 1, 0}, {batch, time, harmonics});
  auto slope = mx::where(
      mx::less(w, mx::array(0.0f)),
      mx::expand_dims(mx::concatenate({held, inner}, 1), 2),
      mx::expand_dims(mx::concatenate({inner, held}, 1), 2));
  auto sines = mx::sin(
      (mx::expand_dims(phase, 2) + w * slope) *
      mx::array(static_cast<float>(2 * M_PI)));

  auto voiced = mx::reshape(
      mx::astype(mx::greater(f0, mx::array(o.voiced_threshold)), mx::float32),
      {batch, time, 1});
  auto sum = mx::sum(sines * weight, -1) * mx::array(o.amplitude) * voiced;
  if (noise) {
    auto amplitude = voiced * mx::array(o.voiced_noise) +
        (one - voiced) * mx::array(o.unvoiced_noise);
    sum = sum +
        amplitude * mx::sqrt(mx::sum(mx::square(weight))) *
            mx::reshape(*noise, {batch, time, o.upsample});
  }
  return mx::reshape(mx::tanh(sum + bias), {batch, time * o.upsample});
}

} // namespace

mx::array harmonic_source(
    const mx::array& f0_values,
    const mx::array& weight_values,
    const mx::array& bias_value,
    const std::optional<mx::array>& noise,
    const HarmonicSourceOptions& options /* = {} */) {
  if (f0_values.ndim() != 2 || weight_values.ndim() != 1 ||
      bias_value.size() != 1) {
    throw std::invalid_argument(
        "[harmonic_source] f0 must be [batch, time], weight [harmonics] and "
        "bias [1].");
  }
  auto f0 = mx::astype(f0_values, mx::float32);
  auto weight = mx::astype(weight_values, mx::float32);
  auto bias = mx::astype(bias_value, mx::float32);
  if (!use_cpu_kernels() || f0.size() == 0) {
    return harmonic_source_mlx(f0, weight, bias, noise, options);
  }
  std::vector<mx::array> inputs{f0, weight, bias};
  if (noise) {
    inputs.push_back(mx::astype(*noise, mx::float32));
  }
  int batch = f0.shape(0);
  int time = f0.shape(1);
  int harmonics = weight.shape(0);
  int64_t samples = static_cast<int64_t>(time) * options.upsample;
  return cpu_op(
      "harmonic_source",
      inputs,
      {batch, time * options.upsample},
      mx::float32,
      [=](const std::vector<mx::array>& in, std::vector<mx::array>& out) {
        for (int64_t b = 0; b < batch; ++b) {
          harmonic_source_cpu(
              {in[0].data<float>() + b * time,
               time,
               in[1].data<float>(),
               harmonics,
               *in[2].data<float>(),
               in.size() > 3 ? in[3].data<float>() + b * samples : nullptr,
               out[0].data<float>() + b * samples},
              options);
        }
      },
      {0, 4.0 * batch * static_cast<double>(samples) * (noise ? 2 : 1)});
}

} // namespace mlx_audio::kernels
