// What POST /v1/audio/transcriptions and /translations ask for.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "mlx_audio/transcription.h"
#include "server/services.h"

namespace mlx_audio::server {

enum class TranscriptShape {
  json,
  text,
  srt,
  vtt,
  verbose_json,
  diarized_json, ///< of models with the feature "speakers"
  ndjson, ///< mlx-audio's lines
};

struct TranscriptionAsk {
  std::string model; ///< id
  TranscriptionOptions options;
  TranscriptShape shape = TranscriptShape::json;
  bool stream = false;
  bool words = false; ///< of verbose_json
  bool segments = true; ///< of verbose_json
  bool logprobs = false;
  std::shared_ptr<const std::string> body; ///< holds the recording
  std::span<const uint8_t> sound; ///< in the body
  double positions_per_second = 50; ///< of the encoder, for token counts
  double seconds = 0; ///< that the recording says it has; 0: unknown
};

/// Takes the request's body over.
/// @throws ApiError 400 that names the field, 404, 413, 415.
TranscriptionAsk parse_transcription(
    Request& request,
    const Services& services,
    TranscriptionTask task);

} // namespace mlx_audio::server
