#pragma once

#include <memory>
#include <vector>

#include "mlx_audio/audio.h"

namespace mlx_audio::server {

/// Appends to `bytes`, which is emptied as they are sent: so nothing that was
/// written can be patched, unlike with memory_sink.
inline std::unique_ptr<ByteSink> collector(std::vector<uint8_t>& bytes) {
  return callback_sink([&bytes](std::span<const uint8_t> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  });
}

} // namespace mlx_audio::server
