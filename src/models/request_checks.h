// Checks of requests that models share.
#pragma once

#include "mlx_audio/speech.h"

namespace mlx_audio {

/// Throws unsupported if the request asks for what only models that follow
/// instructions, imitate voices and sample tokens can do.
void refuse_language_model_fields(
    const SpeechRequest& request,
    const char* model);

/// Throws invalid_argument for a rate of speech outside min_speed..max_speed.
void check_speed(float speed);

/// Throws invalid_argument for a setting outside of its range.
void check_sampling(const SpeechSampling& sampling);

/// A recording of a voice as mono samples at `rate`.
/// @throws Error invalid_argument for one that is too short, silent or not
///   finite, too_large for more than a minute.
std::vector<float> reference_samples(const Audio& audio, int rate);

} // namespace mlx_audio
