#include "models/kokoro/source.h"

namespace mlx_audio::kokoro {

namespace {

constexpr int harmonics = 9; // the fundamental and eight overtones

} // namespace

HarmonicSource::HarmonicSource(
    nn::Weights& weights,
    const std::string& path,
    int sample_rate,
    int upsample)
    : weight_(
          mx::reshape(
              weights.take(path + ".l_linear.weight", {1, harmonics}),
              {harmonics})),
      bias_(weights.take(path + ".l_linear.bias", {1})),
      options_{.sample_rate = sample_rate, .upsample = upsample} {}

mx::array HarmonicSource::operator()(
    const mx::array& f0,
    std::optional<uint64_t> noise_seed) const {
  std::optional<mx::array> noise;
  if (noise_seed) {
    noise = mx::random::normal(
        {f0.shape(0), f0.shape(1) * options_.upsample},
        mx::float32,
        mx::random::key(*noise_seed));
  }
  return kernels::harmonic_source(f0, weight_, bias_, noise, options_);
}

} // namespace mlx_audio::kokoro
