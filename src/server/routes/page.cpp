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

void send(const ExchangePtr& x, const Asset& asset) {
  Headers headers = page_headers;
  bool named_by_content = asset.path.find("/assets/") != std::string_view::npos;
  headers.emplace_back(
      "cache-control",
      named_by_content ? "public, max-age=31536000, immutable" : "no-cache");
  headers.emplace_back("etag", asset.etag);
  headers.emplace_back("vary", "accept-encoding");
  const auto& request = x->request();
  if (request.header("if-none-match") == asset.etag) {
    x->respond({.status = 304, .headers = std::move(headers)});
    return;
  }
  bool zip = !asset.zipped.empty() &&
      request.header("accept-encoding").find("gzip") != std::string::npos;
  if (zip) {
    headers.emplace_back("content-encoding", "gzip");
  }
  x->respond(
      {.type = std::string(asset.type),
       .body = std::string(zip ? asset.zipped : asset.bytes),
       .headers = std::move(headers)});
}

} // namespace

void add_page_routes(Router& router, Services& /* services */) {
  for (const auto& asset : assets()) {
    router.add(
        {.method = "GET",
         .pattern = std::string(asset.path),
         .handler = [asset](const ExchangePtr& x) { send(x, asset); },
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
