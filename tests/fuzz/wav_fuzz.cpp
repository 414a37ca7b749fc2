// WAV headers, with any content behind them. Memory stays within one block and
// time within the bytes given, whatever the header declares.
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "mlx_audio/audio.h"
#include "mlx_audio/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  if (size >= 12 && data[0] % 4 != 0) { // keep most inputs WAV files
    std::memcpy(bytes.data(), data[0] % 4 == 1 ? "RF64" : "RIFF", 4);
    std::memcpy(bytes.data() + 8, "WAVE", 4);
  }
  try {
    mlx_audio::ReadAudioOptions options;
    options.max_seconds = 0;
    options.sanitize = size % 2 != 0;
    mlx_audio::AudioReader reader(std::span<const uint8_t>(bytes), options);
    auto channels = static_cast<size_t>(reader.channels());
    std::vector<float> block(256 * channels);
    uint64_t frames = 0;
    while (size_t n = reader.read(block)) {
      frames += n;
      for (size_t i = 0; i < n * channels; ++i) {
        if (!std::isfinite(block[i])) {
          std::abort();
        }
      }
      // A codec of WAV that expands most gives eight samples a byte.
      if (n > 256 || frames > 64 * bytes.size() + 65536) {
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
