// Word times as files.
#pragma once

#include <string>
#include <vector>

#include "mlx_audio/speech.h"

namespace mlx_audio::cli {

/// {"words": [{"word", "start", "end"}, ...]}, seconds.
std::string words_to_json(const std::vector<WordTime>& words);

/// SubRip cues of up to 42 characters, broken at pauses of half a second.
std::string words_to_srt(const std::vector<WordTime>& words);

} // namespace mlx_audio::cli
