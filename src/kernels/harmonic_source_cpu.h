// CPU kernel behind harmonic_source.h, for one sequence.
#pragma once

#include "kernels/harmonic_source.h"

namespace mlx_audio::kernels {

struct HarmonicSourceArgs {
  const float* f0; // [time]
  int time;
  const float* weight; // [harmonics]
  int harmonics;
  float bias;
  const float* noise; // [time upsample] or null
  float* y; // [time upsample]
};

void harmonic_source_cpu(
    const HarmonicSourceArgs& args,
    const HarmonicSourceOptions& options);

} // namespace mlx_audio::kernels
