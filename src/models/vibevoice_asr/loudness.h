// Sound as the encoders want it: at one loudness, without clipping. Follows
// vibevoice/processor/vibevoice_tokenizer_processor.py.
#pragma once

#include <span>
#include <vector>

#include "models/vibevoice_asr/config.h"

namespace mlx_audio::vibevoice_asr {

/// Found of a whole sound, applied to its pieces.
class Loudness {
 public:
  Loudness() = default; ///< leaves sound as it is
  Loudness(std::span<const float> samples, const Config& config);

  std::vector<float> apply(std::span<const float> samples) const;

 private:
  float gain_ = 1;
  float peak_ = 1; // what is divided by, if that would clip
};

/// Where to cut a sound in two: the middle of the quietest tenth of a second in
/// its last `seconds`.
int64_t
quietest_cut(std::span<const float> samples, int sample_rate, double seconds);

} // namespace mlx_audio::vibevoice_asr
