// Where each feature adds its routes. A new one is a file here, a line below
// and a line in routes.cpp.
#pragma once

#include "server/services.h"

namespace mlx_audio::server {

void add_health_routes(Router& router, Services& services);
void add_model_routes(Router& router, Services& services);
void add_speech_routes(Router& router, Services& services);
void add_transcription_routes(Router& router, Services& services);
void add_voice_routes(Router& router, Services& services);
void add_enhancement_routes(Router& router, Services& services);
void add_separation_routes(Router& router, Services& services);
void add_docs_routes(Router& router, Services& services);
void add_realtime_routes(Router& router, Services& services);
void add_page_routes(Router& router, Services& services);

} // namespace mlx_audio::server
