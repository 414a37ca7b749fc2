// What handlers work with.
#pragma once

#include <functional>
#include <string>

#include "mlx_audio/engine.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/router.h"

namespace mlx_audio::server {

class VoiceShelf;
class ClientSecrets;
class Downloads;

struct Services {
  const ServerOptions& options;
  Engine& engine;
  Metrics& metrics;
  VoiceShelf& voices;
  ClientSecrets& secrets;
  Downloads& downloads;
};

/// Adds all routes.
void add_routes(Router& router, Services& services);

} // namespace mlx_audio::server
