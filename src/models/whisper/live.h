// Live transcription: the last seconds are heard again at each step, and words
// are final once two hearings in a row agree on them ("local agreement",
// Machacek, Dabre, Bojar 2023: Turning Whisper into real-time transcription).
#pragma once

#include <memory>

#include "models/whisper/transcriber.h"

namespace mlx_audio::whisper {

/// Words that two hearings share from their start: how many of `now` are the
/// same as those of `before`, letters and digits compared without case.
size_t agreeing_words(
    const std::vector<TranscribedWord>& before,
    const std::vector<TranscribedWord>& now);

std::unique_ptr<LiveTranscription> make_live(
    std::shared_ptr<Whisper> whisper,
    const LiveOptions& options);

} // namespace mlx_audio::whisper
