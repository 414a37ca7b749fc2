#include "kernels/harmonic_source_cpu.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/harmonic_source_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlx_audio::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void run(const HarmonicSourceArgs& args, const HarmonicSourceOptions& o) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const int up = o.upsample;
  const int whole = (up + lanes - 1) / lanes * lanes;
  const int harmonics = args.harmonics;
  // Cycles to the next value of f0, and the phase in the middle of each.
  std::vector<float> steps(static_cast<size_t>(args.time) * harmonics);
  std::vector<float> phases(steps.size());
  for (int h = 0; h < harmonics; ++h) {
    double phase = 0;
    for (int t = 0; t < args.time; ++t) {
      double cycles = args.f0[t] * static_cast<double>(h + 1) / o.sample_rate;
      double step = (cycles - std::floor(cycles)) * up;
      phase += step;
      phase -= std::floor(phase);
      steps[static_cast<size_t>(t) * harmonics + h] = static_cast<float>(step);
      phases[static_cast<size_t>(t) * harmonics + h] =
          static_cast<float>(phase);
    }
  }
  // Sample n of an interval lies at (n + 0.5) / upsample - 0.5 intervals from
  // its middle: the first half runs from the interval before (held at the
  // start), the second half to the one after (held at the end).
  std::vector<float> before(whole);
  std::vector<float> after(whole);
  double power = 0;
  for (int n = 0; n < up; ++n) {
    auto w = static_cast<float>((n + 0.5) / up - 0.5);
    (w < 0 ? before : after)[n] = w;
  }
  for (int h = 0; h < harmonics; ++h) {
    power += static_cast<double>(args.weight[h]) * args.weight[h];
  }
  const auto spread = static_cast<float>(std::sqrt(power));
  parallel_for(args.time, 8, [&](int64_t t) HWY_ATTR {
    static thread_local std::vector<float> buffer;
    buffer.resize(2 * whole);
    float* sum = buffer.data();
    float* noise = sum + whole;
    std::fill(noise, noise + whole, 0.0f);
    if (args.noise != nullptr) {
      std::copy_n(args.noise + t * up, up, noise);
    }
    const bool voiced = args.f0[t] > o.voiced_threshold;
    const V amplitude =
        hn::Set(d, spread * (voiced ? o.voiced_noise : o.unvoiced_noise));
    for (int n = 0; n < whole; n += lanes) {
      V v =
          hn::MulAdd(hn::LoadU(d, noise + n), amplitude, hn::Set(d, args.bias));
      for (int h = 0; voiced && h < harmonics; ++h) {
        const int64_t at = t * harmonics + h;
        const V from = hn::Set(d, t > 0 ? steps[at] : 0.0f);
        const V to = hn::Set(d, t + 1 < args.time ? steps[at + harmonics] : 0);
        V cycles =
            hn::MulAdd(hn::LoadU(d, &before[n]), from, hn::Set(d, phases[at]));
        cycles = hn::MulAdd(hn::LoadU(d, &after[n]), to, cycles);
        cycles = hn::Sub(cycles, hn::Round(cycles));
        V sine = math::sin(
            d, hn::Mul(cycles, hn::Set(d, static_cast<float>(2 * M_PI))));
        v = hn::MulAdd(sine, hn::Set(d, args.weight[h] * o.amplitude), v);
      }
      hn::StoreU(math::tanh(d, v), d, sum + n);
    }
    std::copy_n(sum, up, args.y + t * up);
  });
}

} // namespace mlx_audio::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mlx_audio::kernels {

HWY_EXPORT(run);

void harmonic_source_cpu(
    const HarmonicSourceArgs& args,
    const HarmonicSourceOptions& options) {
  HWY_DYNAMIC_DISPATCH(run)(args, options);
}

} // namespace mlx_audio::kernels
#endif
