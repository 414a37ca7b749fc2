// The jobs of the library's own tasks.
#pragma once

#include <memory>
#include <span>

#include "mlx_audio/engine.h"

namespace mlx_audio::engine {

std::unique_ptr<Job> transcription_job(
    TranscriptionModel& model,
    std::shared_ptr<const void> sound,
    const TranscriptionRequest& request,
    TranscriptionCallbacks callbacks);

std::unique_ptr<Job> enhancement_job(
    const Enhancer& model,
    std::shared_ptr<const void> sound,
    std::span<const uint8_t> bytes,
    const EnhancementOptions& options,
    EnhancementCallbacks callbacks);

} // namespace mlx_audio::engine
