#include <cstdint>
#include <string>

#include "mlx_audio/error.h"
#include "models/mossformer2_se/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    auto config = mlx_audio::mossformer2_se::parse_config(
        std::string(reinterpret_cast<const char*>(data), size), "fuzz");
    // What the frontend divides by and allocates for.
    if (config.hop <= 0 || config.window < config.hop || config.mels <= 0 ||
        config.window > 16384 || config.sample_rate < 8000) {
      __builtin_trap();
    }
  } catch (const mlx_audio::Error&) {
  }
  return 0;
}
