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

} // namespace mlx_audio
