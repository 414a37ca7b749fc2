#pragma once

#include <cstdint>
#include <span>

namespace mlx_audio::server {

/// Opens an uploaded recording, the field `file`, so that what is none is
/// refused before it waits for a model.
/// @return its length in seconds; 0 if its header does not tell
/// @throws ApiError 415 for bytes of no known format, 413 for a longer one
double check_recording(std::span<const uint8_t> bytes, double most_seconds);

} // namespace mlx_audio::server
