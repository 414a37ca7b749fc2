#pragma once

#include "cli/terminal.h"
#include "hub/download.h"
#include "mlx_audio/speech.h"

namespace mlx_audio::cli {

/// One line a voice: id, language, gender.
void print_voices(const SpeechModel& model);

/// Draws how far a download is.
void show_download(Progress& progress, const hub::PullProgress& now);

} // namespace mlx_audio::cli
