// Finds and loads libmlx_audio_ffmpeg.so.
#pragma once

#include <string>

#include "audio/ffmpeg/ffmpeg_api.h"

namespace mlx_audio::audio {

/// Looks beside the library this is in, then in mlx_audio/ there; if the
/// environment variable MLX_AUDIO_MODULES names a folder, only in that. Loaded
/// once; a failure is tried again. Throws unavailable: "`what` needs ...".
const mlx_audio_ffmpeg_api& ffmpeg_module(const std::string& what);

} // namespace mlx_audio::audio
