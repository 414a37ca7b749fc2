#pragma once

#include <memory>
#include <string>

#include "mlx_audio/transcription.h"

namespace mlx_audio::whisper {

/// See load_transcription_model.
std::unique_ptr<TranscriptionModel> load_whisper(
    const std::string& folder,
    const TranscriptionModelOptions& options);

} // namespace mlx_audio::whisper
