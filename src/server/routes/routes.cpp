#include "server/routes/routes.h"

namespace mlx_audio::server {

void add_routes(Router& router, Services& services) {
  add_health_routes(router, services);
  add_model_routes(router, services);
  add_speech_routes(router, services);
  add_transcription_routes(router, services);
  add_voice_routes(router, services);
  add_enhancement_routes(router, services);
  add_separation_routes(router, services);
  add_docs_routes(router, services);
  add_realtime_routes(router, services);
  add_page_routes(router, services);
}

} // namespace mlx_audio::server
