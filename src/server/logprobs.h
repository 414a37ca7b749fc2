// What the model can say of its certainty, in OpenAI's shape.
#pragma once

#include <vector>

#include "mlx_audio/transcription.h"
#include "server/json.h"

namespace mlx_audio::server {

/// [{token, logprob, bytes}]: words stand for tokens.
Json logprobs(const std::vector<TranscribedWord>& words);

} // namespace mlx_audio::server
