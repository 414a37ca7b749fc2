// Levels of a signal, in dB relative to full scale.
#pragma once

#include <span>

namespace mlx_audio::audio {

/// 20 log10 of the root mean square; a full-scale square wave has 0, a
/// full-scale sine -3.01. Silence and an empty signal have -infinity.
double rms_dbfs(std::span<const float> samples);

/// The largest magnitude; 0 of an empty signal.
float peak(std::span<const float> samples);

} // namespace mlx_audio::audio
