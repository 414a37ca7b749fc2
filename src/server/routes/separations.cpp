// POST /v1/audio/separations: the route of models that are not built yet. A
// model of the task makes it a handler like enhancements.cpp.
#include "server/multipart.h"
#include "server/routes/routes.h"

namespace mlx_audio::server {

void add_separation_routes(Router& router, Services& s) {
  router.add(
      {.method = "POST",
       .pattern = "/v1/audio/separations",
       .handler =
           [&s](const ExchangePtr& x) {
             Multipart form(
                 x->request().header("content-type"), x->request().body);
             auto model = form.text("model").value_or("sam-audio");
             for (const auto& info : s.engine.models()) {
               if (info.id == model) {
                 throw ApiError(
                     400,
                     "model '" + model + "' is for " + to_string(info.task) +
                         ", not for separation",
                     "model",
                     "unsupported");
               }
             }
             throw ApiError(
                 404,
                 "no model '" + model.substr(0, 200) +
                     "': source separation (SAM-Audio) is not built yet",
                 "model",
                 "not_found");
           },
       .max_body = s.options.max_upload});
}

} // namespace mlx_audio::server
