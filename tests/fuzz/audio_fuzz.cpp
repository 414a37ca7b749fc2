// Any bytes as audio: every decoder, resampling and mixing. Declared limits:
// ten seconds, 64 MB of samples.
#include <cmath>
#include <cstdlib>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mlx_audio::ReadAudioOptions options;
  options.max_seconds = 10;
  options.max_bytes = 64 << 20;
  options.mono = size % 3 == 0;
  if (size % 2 == 0) {
    options.sample_rate = 16000;
  }
  try {
    mlx_audio::Audio audio = mlx_audio::decode_audio({data, size}, options);
    if (audio.samples.empty() || audio.samples.size() * 4 > options.max_bytes ||
        audio.seconds() > 10.1) {
      std::abort();
    }
    for (float x : audio.samples) {
      // Finite input of any size may still overflow in a filter.
      if (!std::isfinite(x) && !options.sample_rate) {
        std::abort();
      }
    }
  } catch (const mlx_audio::Error& error) {
    if (error.kind() == mlx_audio::ErrorKind::internal) {
      std::abort();
    }
  }
  return 0;
}
