// The web page and its parts.
#include "server/assets.h"
#include "server/routes/routes.h"

namespace mlx_audio::server {

namespace {

const Headers page_headers = {
    {"content-security-policy",
     "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: "
     "blob:; media-src 'self' blob: data:; worker-src 'self' blob:; "
     "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"},
    {"referrer-policy", "no-referrer"},
    {"cross-origin-opener-policy", "same-origin"}};

} // namespace

void add_page_routes(Router& router, Services& /* services */) {
  for (const auto& asset : assets()) {
    router.add(
        {.method = "GET",
         .pattern = std::string(asset.path),
         .handler =
             [asset](const ExchangePtr& x) {
               Headers headers = page_headers;
               bool named_by_content =
                   asset.path.find("/assets/") != std::string_view::npos;
               headers.emplace_back(
                   "cache-control",
                   named_by_content ? "public, max-age=31536000, immutable"
                                    : "no-cache");
               x->respond(
                   {.type = std::string(asset.type),
                    .body = std::string(asset.bytes),
                    .headers = std::move(headers)});
             },
         .open = true});
  }
  if (assets().empty()) {
    router.add(
        {.method = "GET",
         .pattern = "/",
         .handler =
             [](const ExchangePtr& x) {
               x->respond(
                   {.type = "text/plain; charset=utf-8",
                    .body = "mlx-audio: see /docs and /v1/models\n"});
             },
         .open = true});
  }
}

} // namespace mlx_audio::server
