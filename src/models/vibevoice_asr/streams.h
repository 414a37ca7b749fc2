// Requests at work: a recording that is heard as a whole, and the chunks of a
// streaming checkpoint.
#pragma once

#include <memory>

#include "mlx_audio/transcription.h"
#include "models/vibevoice_asr/network.h"
#include "models/vibevoice_asr/text_ids.h"

namespace mlx_audio::vibevoice_asr {

/// A loaded model with all that its streams share.
struct Model {
  std::unique_ptr<Network> network;
  TextIds ids;
};

/// Checks a request's options. @throws Error invalid_argument, unsupported
void check_options(const TranscriptionOptions& options, const Config& config);

/// Checks the request and begins it, by the kind of the checkpoint.
std::unique_ptr<TranscriptionStream> make_stream(
    std::shared_ptr<const Model> model,
    const TranscriptionRequest& request);

} // namespace mlx_audio::vibevoice_asr
