// /health for people and load balancers, /metrics for Prometheus.
#include "engine/model_cache.h"
#include "server/json.h"
#include "server/routes/routes.h"
#include "version.h"

namespace mlx_audio::server {

namespace {

void health(const ExchangePtr& exchange, const Services& services) {
  auto stats = services.engine.stats();
  bool draining = services.engine.draining();
  exchange->respond(
      {.status = 200,
       .body = dump(
                   {{"status", draining ? "draining" : "ok"},
                    {"live", true},
                    {"ready", !draining},
                    {"version", MLX_AUDIO_VERSION},
                    {"queue_depth", stats.queued + stats.active},
                    {"sessions", stats.waiting},
                    {"models", stats.loaded}}) +
           "\n"});
}

void ready(const ExchangePtr& exchange, const Services& services) {
  auto stats = services.engine.stats();
  bool draining = services.engine.draining();
  bool full =
      stats.queued + stats.active >= services.options.engine.queue_limit;
  const char* status = draining ? "draining" : full ? "full" : "ok";
  exchange->respond(
      {.status = draining || full ? 503 : 200,
       .body = dump({{"status", status}}) + "\n",
       .headers = {
           {"x-queue-depth", std::to_string(stats.queued + stats.active)}}});
}

void metrics(const ExchangePtr& exchange, const Services& services) {
  auto stats = services.engine.stats();
  auto count = [](size_t n) { return static_cast<double>(n); };
  std::vector<Metrics::Gauge> gauges = {
      {"mlx_audio_queue_depth",
       "Requests that wait for the device or work on it.",
       {},
       count(stats.queued + stats.active)},
      {"mlx_audio_requests_queued",
       "Requests that wait for their first step.",
       {},
       count(stats.queued)},
      {"mlx_audio_requests_active",
       "Requests that the device works on.",
       {},
       count(stats.active)},
      {"mlx_audio_sessions",
       "Live sessions that wait for input.",
       {},
       count(stats.waiting)},
      {"mlx_audio_resident_bytes",
       "Memory of the process.",
       {},
       static_cast<double>(engine::resident_bytes())},
      {"mlx_audio_draining",
       "1 while the server stops.",
       {},
       services.engine.draining() ? 1.0 : 0.0}};
  for (const auto& model : services.engine.models()) {
    if (model.loaded) {
      gauges.push_back(
          {"mlx_audio_model_memory_bytes",
           "Memory that loading the model took.",
           {{"model", model.id}, {"task", to_string(model.task)}},
           static_cast<double>(model.memory_bytes)});
    }
  }
  exchange->respond(
      {.status = 200,
       .type = "text/plain; version=0.0.4; charset=utf-8",
       .body = services.metrics.text(gauges)});
}

} // namespace

void add_health_routes(Router& router, Services& s) {
  auto with = [&s](void (*handler)(const ExchangePtr&, const Services&)) {
    return [&s, handler](const ExchangePtr& x) { handler(x, s); };
  };
  router.add(
      {.method = "GET",
       .pattern = "/health",
       .handler = with(health),
       .open = true});
  router.add(
      {.method = "GET",
       .pattern = "/health/live",
       .handler =
           [](const ExchangePtr& x) {
             x->respond({.body = "{\"status\":\"ok\"}\n"});
           },
       .open = true});
  router.add(
      {.method = "GET",
       .pattern = "/health/ready",
       .handler = with(ready),
       .open = true});
  router.add(
      {.method = "GET", .pattern = "/metrics", .handler = with(metrics)});
}

} // namespace mlx_audio::server
