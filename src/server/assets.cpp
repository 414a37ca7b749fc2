#include "server/assets.h"

namespace mlx_audio::server {

namespace {

#ifdef MLX_AUDIO_HAS_WEB_PAGE
#include "web_assets.h" // `page`, made by web/CMakeLists.txt
#endif

} // namespace

std::span<const Asset> assets() {
#ifdef MLX_AUDIO_HAS_WEB_PAGE
  return page;
#else
  return {};
#endif
}

} // namespace mlx_audio::server
