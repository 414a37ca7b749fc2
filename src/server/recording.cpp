#include "server/recording.h"

#include "mlx_audio/audio.h"
#include "server/api_error.h"

namespace mlx_audio::server {

double check_recording(std::span<const uint8_t> bytes, double most_seconds) {
  double seconds = 0;
  try {
    AudioReader reader(bytes, {.max_seconds = most_seconds});
    const auto& info = reader.info();
    if (info.frames && info.sample_rate > 0) {
      seconds = static_cast<double>(*info.frames) / info.sample_rate;
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::unsupported) {
      throw ApiError(
          415,
          std::string("'file' is no sound that can be read: ") + error.what(),
          "file",
          "unsupported_media_type");
    }
    throw ApiError(error, "file");
  }
  if (seconds > most_seconds) {
    throw ApiError(
        413,
        "the recording is longer than " + std::to_string(most_seconds) +
            " seconds",
        "file",
        "too_large");
  }
  return seconds;
}

} // namespace mlx_audio::server
