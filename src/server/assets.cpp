#include "server/assets.h"

namespace mlx_audio::server {

std::span<const Asset> assets() {
  return {};
}

} // namespace mlx_audio::server
