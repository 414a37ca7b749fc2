// What POST /v1/audio/speech asks for.
#pragma once

#include <string>

#include "mlx_audio/speech.h"
#include "server/services.h"

namespace mlx_audio::server {

struct SpeechAsk {
  std::string model; ///< id
  SpeechRequest request;
  AudioEncoding encoding = {.format = AudioFormat::mp3};
  bool events = false; ///< stream_format "sse"
  bool whole = false; ///< one body of known length: "stream": false
  bool timestamps = false; ///< words in the events
};

/// From JSON, or a form with the same fields where `ref_audio` may be a file.
/// @throws ApiError 400 that names the field, 404, 415.
SpeechAsk parse_speech(const Request& request, const Services& services);

/// Code points of UTF-8 text.
size_t characters(const std::string& text);

} // namespace mlx_audio::server
